"""Copies of the source tree that are built by a Bazel of their own: another folder, user, home and output base.

Only the downloads are shared with the Bazel that runs the test: the unpacked CUDA toolkit and PyTorch, whose content
the lock files fix, and the private Bazel that `bazelw` may have set up.
"""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]  # through the runfiles' link: the source tree

COMPILERS = ("CppCompile", "CppLink", "CppArchive", "CudaCompile")

# Canonical names of //third_party's repositories in bzlmod mode (Bazel 7, newer ones) and in WORKSPACE mode.
_CANONICAL = ("_main~dependencies~{}", "+dependencies+{}", "{}")
# The same in a workspace that includes this one under the name given first.
_CANONICAL_INCLUDED = ("{0}~~dependencies~{1}", "{0}++dependencies+{1}", "{1}")


def flags(workspace: str = "") -> list[str]:
    """The settings of the build that the test belongs to, as flags of the workspace's repository."""
    archs = json.loads(pathlib.Path(os.environ["CUDA_BUILD"]).read_text())["archs"]
    settings = {name: os.environ[f"BUILT_FOR_{name.upper()}"] for name in ("bf16", "cuda", "python", "torch")}
    settings["cuda_archs"] = archs
    return [f"--{workspace}//config:{name}={value}" for name, value in settings.items()]


def scratch() -> pathlib.Path:
    """A new folder. Not below /tmp, which Bazel hides from sandboxed actions."""
    folder = pathlib.Path(os.environ["TEST_TMPDIR"]).resolve()
    if folder.is_relative_to("/tmp"):
        folder = pathlib.Path("/var/tmp") / f"awq-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


def unpacked(kinds: str) -> dict[str, pathlib.Path]:
    """Repositories of wheels that the running Bazel unpacked, by name; `kinds` is a regular expression."""
    import torch

    found = {}
    for repository in pathlib.Path(torch.__file__).resolve().parents[2].iterdir():
        match = re.search(rf"awq_({kinds})(_\d+)+(_cp\d+)?_(x86_64|aarch64)$", repository.name)
        if match and (repository / "BUILD.bazel").exists():
            found[match[0]] = repository
    for kind in kinds.split("|"):
        assert any(name.startswith(f"awq_{kind}_") for name in found), f"no {kind} beside {torch.__file__}"
    return found


def shared_repositories() -> list[str]:
    """Options that take the toolkit, PyTorch and what it imports from where the running Bazel unpacked them."""
    return [
        f"--override_repository={canonical.format(name)}={folder}"
        for name, folder in sorted(unpacked("cuda|torch|torch_runtime").items())
        for canonical in _CANONICAL
    ]


def shared_repositories_of_a_dependency(repository: str, repo_name: str, folder: pathlib.Path) -> list[str]:
    """The same for a workspace that includes this one, and what importing PyTorch needs besides.

    The BUILD files name files of this workspace, so that each repository is a new one, made of links and such a file.

    Args:
        repository: canonical name of this workspace's repository there, without `~` or `+`.
        repo_name: the canonical name as the BUILD files have to write it.
        folder: where the new repositories are made.
    """
    options = []
    for name, unpacked_folder in sorted(unpacked("cuda|torch|torch_runtime").items()):
        (folder / name).mkdir(parents=True)
        for entry in unpacked_folder.iterdir():
            if entry.name == "BUILD.bazel":
                text = re.sub(r"\"@@?//", f'"@@{repo_name}//', entry.read_text())
                (folder / name / entry.name).write_text(text)
            else:
                (folder / name / entry.name).symlink_to(entry)
        for canonical in _CANONICAL_INCLUDED:
            options.append(f"--override_repository={canonical.format(repository, name)}={folder / name}")
    return options


def _ignored(_: str, names: list[str]) -> set[str]:
    """Not copied: Bazel's links, caches, hidden folders and one user's settings."""
    wanted = {".bazelignore", ".bazelrc", ".bazelversion"}
    unwanted = re.compile(r"bazel-|\.|__pycache__$|user\.bazelrc$")
    return {name for name in names if unwanted.match(name) and name not in wanted}


class Checkout:
    """A copy of the source tree, and the Bazel that builds it, which ends with the `with` block.

    Attributes:
        root: the copy.
        folder: where Bazel runs: the copy, or a workspace in it.
        log: the execution log of the last `build`.
    """

    def __init__(
        self,
        name: str,
        environment: dict[str, str] | None = None,
        umask: int = 0o022,
        root: str = "source-tree-of-another-name",
    ) -> None:
        folder = scratch() / name
        self.root = folder / root
        self.folder = self.root
        self.log = folder / "execution.json"
        self._umask = umask
        self._base = folder / "output-base"
        home = folder / "home"
        home.mkdir(parents=True)
        cache = pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "USER": name,
            "XDG_CACHE_HOME": str(cache),
            **(environment or {}),
        }
        shutil.copytree(ROOT, self.root, ignore=_ignored)

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_: object) -> None:
        self.bazel("shutdown")
        subprocess.run(["chmod", "-R", "u+w", str(self._base)], check=False)
        shutil.rmtree(self._base, ignore_errors=True)

    def start(self, command: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts Bazel; its output goes to one pipe."""
        startup = [f"--output_base={self._base}", "--max_idle_secs=60", "--nohome_rc", "--nosystem_rc"]
        return subprocess.Popen(
            [str(self.root / "bazelw"), *startup, command, *arguments],
            cwd=self.folder,
            env={**self._environment, **environment},
            umask=self._umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def bazel(
        self, command: str, *arguments: str, timeout: int = 1500, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs Bazel, its output all in `stdout`; an end by time-out is Bazel's own orderly one."""
        process = self.start(command, *arguments, **environment)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate()
            output += f"\nended after {timeout} s"
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def options(self) -> list[str]:
        """What every build here is given."""
        return [*flags(), *shared_repositories(), f"--execution_log_json_file={self.log}", "--noshow_progress"]

    def build(self, *targets: str) -> subprocess.CompletedProcess[str]:
        """Builds targets, with options among them."""
        return self.bazel("build", *self.options(), *targets)

    def repositories(self) -> list[str]:
        """The repositories that the builds so far made use of, by canonical name."""
        return [path.name for path in (self._base / "external").iterdir() if path.is_dir()]

    def runners(self) -> dict[str, list[str]]:
        """Of the last build: which compile actions (by mnemonic) ran or were found where."""
        runners: dict[str, list[str]] = {}
        for action in self.executed():
            if action["mnemonic"] in COMPILERS:
                runners.setdefault(action["runner"], []).append(action["mnemonic"])
        return runners

    def executed(self) -> list[dict[str, Any]]:
        """The last build's execution log."""
        decoder = json.JSONDecoder()
        text = self.log.read_text()
        actions = []
        position = 0
        while position < len(text):
            action, position = decoder.raw_decode(text, position)
            actions.append(action)
            position += len(text[position:]) - len(text[position:].lstrip())
        return actions

    def outputs(self, pattern: str) -> dict[str, bytes]:
        """Files below bazel-bin by name."""
        return {path.name: path.read_bytes() for path in (self.root / "bazel-bin").glob(pattern)}

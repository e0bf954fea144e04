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


def flags() -> list[str]:
    """The settings of the build that the test belongs to."""
    archs = pathlib.Path(os.environ["CUDA_ARCHS"]).read_text().strip()
    settings = {name: os.environ[f"BUILT_FOR_{name.upper()}"] for name in ("cuda", "python", "torch")}
    return [f"--//config:{name}={value}" for name, value in {**settings, "cuda_archs": archs}.items()]


def scratch() -> pathlib.Path:
    """A new folder. Not below /tmp, which Bazel hides from sandboxed actions."""
    folder = pathlib.Path(os.environ["TEST_TMPDIR"]).resolve()
    if folder.is_relative_to("/tmp"):
        folder = pathlib.Path("/var/tmp") / f"awq-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


def shared_repositories() -> list[str]:
    """Options that take the toolkit and PyTorch from where the running Bazel unpacked them."""
    import torch

    repositories = pathlib.Path(torch.__file__).resolve().parents[2]
    wanted = [
        repository
        for repository in repositories.iterdir()
        if re.search(r"awq_(cuda|torch)(_\d+)+(_cp\d+)?_(x86_64|aarch64)$", repository.name)
        and (repository / "BUILD.bazel").exists()
    ]
    for kind in ("cuda", "torch"):
        assert any(f"awq_{kind}_" in repository.name for repository in wanted), f"no {kind} in {repositories}"
    return [f"--override_repository={repository.name}={repository}" for repository in sorted(wanted)]


class Checkout:
    """A copy of the source tree, and the Bazel that builds it, which ends with the `with` block."""

    def __init__(self, name: str, environment: dict[str, str] | None = None, umask: int = 0o022) -> None:
        folder = scratch() / name
        self.root = folder / "source-tree-of-another-name"
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
        shutil.copytree(ROOT, self.root, ignore=self._ignore)
        shutil.copy(ROOT / ".bazelrc", self.root)
        shutil.copy(ROOT / ".bazelversion", self.root)
        shutil.copy(ROOT / ".bazelignore", self.root)

    @staticmethod
    def _ignore(folder: str, names: list[str]) -> list[str]:
        hidden = [name for name in names if name.startswith(".") or name in ("__pycache__", "user.bazelrc")]
        return hidden + [name for name in names if folder == str(ROOT) and name.startswith("bazel-")]

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_: object) -> None:
        self.bazel("shutdown")
        subprocess.run(["chmod", "-R", "u+w", str(self._base)], check=False)
        shutil.rmtree(self._base, ignore_errors=True)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Starts Bazel; its output goes to one pipe."""
        line = [str(self.root / "bazelw"), f"--output_base={self._base}", "--max_idle_secs=60", command, *arguments]
        return subprocess.Popen(
            line,
            cwd=self.root,
            env=self._environment,
            umask=self._umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def bazel(self, command: str, *arguments: str, timeout: int = 1500) -> subprocess.CompletedProcess[str]:
        """Runs Bazel; an end by time-out is Bazel's own orderly one."""
        process = self.start(command, *arguments)
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

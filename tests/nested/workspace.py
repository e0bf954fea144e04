"""A scratch copy of this workspace with a Bazel server of its own, for tests of what Bazel does with it."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]  # through the runfiles' link: in the source tree
_KEPT_VARIABLES = ("AWQ_BAZELW", "LANG", "TMPDIR", "XDG_CACHE_HOME")


def _ignored(folder: str, names: list[str]) -> set[str]:
    """Not copied: Bazel's links, caches and hidden folders."""
    wanted = {".bazelignore", ".bazelrc", ".bazelversion"}
    return {
        name for name in names if name.startswith(("bazel-", "__pycache__")) or (name[0] == "." and name not in wanted)
    }


class Workspace:
    """Runs Bazel on a copy; a context manager that ends the server it started."""

    def __init__(self, folder: pathlib.Path, environment: dict[str, str] | None = None) -> None:
        """Copies the workspace to `folder`, which must not exist; `environment` adds to a bare one."""
        self.root = folder / "workspace"
        self._output_root = folder / "output"
        shutil.copytree(ROOT, self.root, ignore=_ignored, symlinks=True)
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.environment = {"HOME": home, "PATH": path, **kept, **(environment or {})}

    def bazel(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`bazelw ARGUMENTS`; its output is all in `stderr` and `stdout`, which are joined in `stdout`."""
        startup = [f"--output_user_root={self._output_root}", "--max_idle_secs=60", "--nohome_rc", "--nosystem_rc"]
        return subprocess.run(
            [str(self.root / "bazelw"), *startup, *arguments],
            cwd=self.root,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1200,
        )

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.bazel("clean", "--expunge")

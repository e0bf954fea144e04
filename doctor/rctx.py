"""What Bazel's repository rules use to look at the machine, for the searches that the doctor shares with them."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Sequence
from types import SimpleNamespace


class Path:
    """A file or folder, with the names that Bazel's path objects have."""

    def __init__(self, path: str | pathlib.Path) -> None:
        """Takes an absolute path."""
        self._path = pathlib.Path(path)

    def __str__(self) -> str:
        return str(self._path)

    @property
    def basename(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def exists(self) -> bool:
        """Whether it is there; a folder that may not be looked into holds nothing."""
        return os.path.exists(self._path)

    def get_child(self, name: str) -> Path:
        """A file in this folder, whether it is there or not."""
        return Path(self._path / name)

    def readdir(self, watch: str = "auto") -> list[Path]:
        """What is in this folder. Nothing is watched: the doctor looks once."""
        try:
            return [Path(path) for path in self._path.iterdir()]
        except OSError:
            return []


class RepositoryContext:
    """As far as the shared searches use Bazel's repository_ctx."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Takes the environment that repository rules see."""
        self.os = SimpleNamespace(environ=environment)

    def path(self, path: str | Path) -> Path:
        """A path object."""
        return path if isinstance(path, Path) else Path(path)

    def watch(self, path: str | Path) -> None:
        """Nothing: the doctor looks once."""

    def read(self, path: str | Path) -> str:
        """A file's bytes, each as one character."""
        return pathlib.Path(str(path)).read_text(encoding="latin-1")

    def which(self, name: str) -> Path | None:
        """The program of that name on PATH."""
        found = shutil.which(name, path=self.os.environ.get("PATH", os.defpath))
        return Path(found) if found else None

    def execute(self, command: Sequence[str | Path], timeout: float = 60) -> SimpleNamespace:
        """Runs a command; one that cannot be run or does not end returns 256, as in Bazel."""
        environment = {**os.environ, **self.os.environ}
        try:
            result = subprocess.run(
                [str(part) for part in command],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return SimpleNamespace(return_code=256, stdout="", stderr=str(error))
        return SimpleNamespace(return_code=result.returncode, stdout=result.stdout, stderr=result.stderr)

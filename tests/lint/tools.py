"""The formatters and checkers of the source tree, and the files each looks at.

They read the source tree itself, to which this file's link among the runfiles leads, so that a new file needs no entry
in a list. The versions are pinned by //third_party:versions.bzl.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Unavailable(Exception):
    """A tool could not be fetched for this machine; says why."""


def tree(*patterns: str) -> list[str]:
    """Files of the source tree that match, hidden folders and Bazel's links left out."""
    files = []
    for pattern in patterns:
        for path in ROOT.rglob(pattern):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not any(part.startswith((".", "bazel-")) for part in parts):
                files.append(str(path.relative_to(ROOT)))
    assert files, f"no file matches {patterns}"
    return sorted(files)


def _package_folder(package: str) -> pathlib.Path:
    """The folder of sys.path that holds a package."""
    return next(pathlib.Path(p) for p in sys.path if (pathlib.Path(p) / package).is_dir())


def _executable(name: str) -> str:
    """An executable that a wheel brought: among its scripts or inside its package."""
    folder = _package_folder("mypy")
    found = [*folder.glob(f"*.data/scripts/{name}"), *folder.glob(f"*/data/bin/{name}")]
    assert found, f"{name} is not in {folder}"
    return str(found[0])


def clang_format() -> list[str]:
    """The command without options, and without files."""
    return [_executable("clang-format")]


def ruff() -> list[str]:
    """As `clang_format`."""
    return [_executable("ruff")]


def buildifier() -> list[str]:
    """As `clang_format`. Raises Unavailable where npm could not deliver it."""
    runfiles = _package_folder("mypy").parents[1]  # above the tools' repository and its site-packages
    folder = next(p for p in runfiles.iterdir() if p.name.endswith("awq_buildifier"))
    if reason := (folder / "unavailable.txt").read_text():
        raise Unavailable(reason)
    return [str(folder / "buildifier-linux_amd64")]


def mypy() -> tuple[list[str], dict[str, str]]:
    """The command, whose files stand in pyproject.toml, and the environment in which it sees the packages."""
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MYPYPATH": os.pathsep.join(str(_package_folder(package)) for package in ("griffe", "matplotlib", "torch")),
    }
    return [sys.executable, "-m", "mypy", "--cache-dir=/dev/null", "--config-file=pyproject.toml"], environment


CPP = ("*.h", "*.cuh", "*.cc", "*.cu")
PYTHON = ("*.py", "*.pyi")
BAZEL = ("*.bazel", "*.bzl", "WORKSPACE")


def run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in the source tree and captures what it prints."""
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )

"""The source tree is formatted and passes the static checks.

Each failure ends with the command that mends it. The tools are pinned by //third_party:versions.bzl.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(os.environ["SOURCE_MARKER"]).resolve().parent
# Under Bazel the tools lie in runfiles; what pip would have put into bin/ is found beside the packages.
TOOLS = next((pathlib.Path(p) for p in sys.path if (pathlib.Path(p) / "mypy").is_dir()), None)


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


def run(*command: str | pathlib.Path, **environment: str) -> None:
    """Runs a tool in the source tree; its output is the failure's message."""
    result = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"


def tool(name: str) -> pathlib.Path:
    """An executable that a wheel brought: among its scripts or inside its package."""
    assert TOOLS is not None
    found = [p for p in [*TOOLS.glob(f"*.data/scripts/{name}"), *TOOLS.glob(f"*/data/bin/{name}")] if p.is_file()]
    assert found, f"{name} is not in {TOOLS}"
    return found[0]


def test_clang_format() -> None:
    run(tool("clang-format"), "--dry-run", "--Werror", *tree("*.h", "*.cuh", "*.cc", "*.cu"))


def test_ruff_format() -> None:
    run(tool("ruff"), "format", "--no-cache", "--diff", *tree("*.py", "*.pyi"))


def test_ruff_check() -> None:
    run(tool("ruff"), "check", "--no-cache", *tree("*.py", "*.pyi"))


def test_mypy() -> None:
    packages = os.pathsep.join([str(ROOT / "python"), *sys.path])
    run(
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir=/dev/null",
        "--config-file=pyproject.toml",
        "python/awq_kernels",
        PYTHONPATH=packages,
        MYPYPATH=packages_of("torch"),
    )


def packages_of(name: str) -> str:
    """The folder of sys.path that holds a package."""
    return next(p for p in sys.path if (pathlib.Path(p) / name).is_dir())


def test_buildifier() -> None:
    runfiles = pathlib.Path(os.environ["RUNFILES_DIR"])
    folder = next(p for p in runfiles.iterdir() if p.name.endswith("awq_buildifier"))
    reason = (folder / "unavailable.txt").read_text()
    if reason:
        pytest.skip(f"buildifier is not here: {reason}")
    files = tree("*.bazel", "*.bzl", "WORKSPACE")
    run(folder / "buildifier-linux_amd64", "-mode=check", "-lint=warn", *files)

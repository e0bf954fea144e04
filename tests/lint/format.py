"""Formats the source tree in place: C++ and CUDA, Python, BUILD and .bzl files."""

from __future__ import annotations

import sys

import tools


def main() -> int:
    """Runs every formatter; the exit status tells whether all went well."""
    python = tools.tree(*tools.PYTHON)
    commands = {
        "clang-format": lambda: [*tools.clang_format(), "-i", *tools.tree(*tools.CPP)],
        "ruff check --fix": lambda: [*tools.ruff(), "check", "--no-cache", "--fix", "--quiet", *python],
        "ruff format": lambda: [*tools.ruff(), "format", "--no-cache", "--quiet", *python],
        "buildifier": lambda: [*tools.buildifier(), "-mode=fix", "-lint=fix", *tools.tree(*tools.BAZEL)],
    }
    failed = False
    for name, command in commands.items():
        try:
            result = tools.run(command())
        except tools.Unavailable as reason:
            print(f"{name}: not run, {reason}")
            continue
        print(f"{name}: {'ok' if result.returncode == 0 else 'failed'}")
        if result.returncode != 0:
            print(result.stdout + result.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Resolves requirements.in anew and writes the lock files, one per Python version.

    ./bazelw run //third_party/wheels:lock

uv resolves for versions and platforms other than its own; it is told the index that pip is configured for. The files
name hashes, never an index.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

LOCKS = pathlib.Path(__file__).resolve().parent / "locks"  # through the runfiles' link: in the source tree
VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
HEADER = "# Made by: ./bazelw run //third_party/wheels:lock\n"


def pip_index() -> str | None:
    """The index of pip's own configuration, if it names one."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("PIP_INDEX_URL") or result.stdout.strip() or None


def compile_command(uv: str, version: str) -> list[str]:
    """Uv's command line for one Python version."""
    return [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        f"--python-version={version}",
        "--python-platform=x86_64-manylinux_2_28",
        str(LOCKS / "requirements.in"),
    ]


def main() -> int:
    """Writes every lock file, or none if one cannot be resolved."""
    uv = next(p for path in sys.path for p in pathlib.Path(path).glob("uv-*.data/scripts/uv"))
    environment = dict(os.environ)
    if index := pip_index():
        environment["UV_DEFAULT_INDEX"] = index
    locks = {}
    for version in VERSIONS:
        print(f"resolving for Python {version}", flush=True)
        result = subprocess.run(compile_command(str(uv), version), env=environment, capture_output=True, text=True)
        if result.returncode != 0:
            print(result.stderr, file=sys.stderr)
            return 1
        locks[LOCKS / f"python_{version.replace('.', '_')}.txt"] = HEADER + result.stdout
    for path, text in locks.items():
        path.write_text(text)
        print(f"{path.name}: {text.count('==')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())

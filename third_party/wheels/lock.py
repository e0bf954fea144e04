"""Resolves the .in files of locks/ anew and writes the lock files, one per Python version.

    ./bazelw run //third_party/wheels:lock                              # all
    ./bazelw run //third_party/wheels:lock -- --only torch_2_11_0       # one .in file's

uv resolves for versions and platforms other than its own; it is told the index that pip is configured for. The files
name hashes, never an index.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys

LOCKS = pathlib.Path(__file__).resolve().parent / "locks"  # through the runfiles' link: in the source tree
HEADER = "# Made by: ./bazelw run //third_party/wheels:lock\n"


def pip_index() -> str | None:
    """The index of pip's own configuration, if it names one."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("PIP_INDEX_URL") or result.stdout.strip() or None


def compile_command(uv: str, name: str, version: str) -> list[str]:
    """Uv's command line for one .in file and one Python version."""
    # What stands in alone.in is fetched for the files in it, without what it requires.
    return [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        *(["--no-deps"] if name == "alone" else []),
        f"--python-version={version}",
        "--python-platform=x86_64-manylinux_2_28",
        str(LOCKS / f"{name}.in"),
    ]


def parse_arguments() -> argparse.Namespace:
    """The command line; the BUILD file gives the positional part."""
    parser = argparse.ArgumentParser(description="Writes the lock files of the Python wheels.")
    parser.add_argument("sets", nargs="+", metavar="NAME:VERSIONS", help="an .in file and its Python versions")
    parser.add_argument("--only", metavar="NAME", help="resolve this .in file alone")
    return parser.parse_args()


def main() -> int:
    """Writes every lock file, or none if one cannot be resolved."""
    arguments = parse_arguments()
    uv = next(p for path in sys.path for p in pathlib.Path(path).glob("uv-*.data/scripts/uv"))
    environment = dict(os.environ)
    if index := pip_index():
        environment["UV_DEFAULT_INDEX"] = index
    locks = {}
    for name, versions in (item.split(":") for item in arguments.sets):
        if arguments.only not in (None, name):
            continue
        for version in versions.split(","):
            print(f"resolving {name} for Python {version}", flush=True)
            command = compile_command(str(uv), name, version)
            result = subprocess.run(command, env=environment, capture_output=True, text=True)
            if result.returncode != 0:
                print(result.stderr, file=sys.stderr)
                return 1
            locks[LOCKS / f"{name}_py{version.replace('.', '')}.txt"] = HEADER + result.stdout
    for path, text in locks.items():
        path.write_text(text)
        print(f"{path.name}: {text.count('==')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())

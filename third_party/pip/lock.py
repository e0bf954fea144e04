"""Resolves the .in files of locks/ anew and writes the locks: for each Python and processor the wheels, with SHA-256.

    ./bazelw run //third_party/pip:lock                              # all
    ./bazelw run //third_party/pip:lock -- --only torch_2_11_0       # one .in file's

uv resolves for versions and platforms other than its own; it is told the index that pip is configured for. A lock is in
the format of sha256sum, one file per package, and names no index.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

import tomllib
from packaging import tags, utils

LOCKS = pathlib.Path(__file__).resolve().parent / "locks"  # through the runfiles' link: in the source tree
HEADER = "# Made by: ./bazelw run //third_party/pip:lock\n"
PROCESSORS = ("x86_64", "aarch64")
GLIBC_MINOR = 28  # the oldest glibc that PyTorch's wheels run on


def pip_index() -> str | None:
    """The index of pip's own configuration, if it names one."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("PIP_INDEX_URL") or result.stdout.strip() or None


def resolve(uv: str, requirements: pathlib.Path, version: str, cpu: str) -> list[dict[str, str]]:
    """The wheels of each package that uv's resolution finds fit: a list of packages, SHA-256 by file name.

    Raises:
        subprocess.CalledProcessError: there is no resolution; uv has said why.
    """
    command = [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--no-header",
        "--format=pylock.toml",
        "--only-binary=:all:",
        f"--python-version={version}",
        f"--python-platform={cpu}-manylinux_2_{GLIBC_MINOR}",
        str(requirements),
    ]
    environment = dict(os.environ)
    if index := pip_index():
        environment["UV_DEFAULT_INDEX"] = index
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    packages = tomllib.loads(result.stdout)["packages"]
    return [{file_name(wheel["url"]): wheel["hashes"]["sha256"] for wheel in package["wheels"]} for package in packages]


def file_name(url: str) -> str:
    """The last part of an address."""
    return urllib.parse.unquote(url.rpartition("/")[2])


def best(wheels: dict[str, str], version: str, cpu: str) -> str:
    """The wheel that pip would take: of those that fit, the one with the most specific tags."""
    python = tuple(int(part) for part in version.split("."))
    platforms = [f"manylinux_2_{minor}_{cpu}" for minor in range(GLIBC_MINOR, 4, -1)]
    order = [*tags.cpython_tags(python, platforms=platforms), *tags.compatible_tags(python, platforms=platforms)]
    rank = {tag: position for position, tag in enumerate(order)}

    def rank_of(name: str) -> int:
        return min(rank.get(tag, len(rank)) for tag in utils.parse_wheel_filename(name)[3])

    return min(wheels, key=rank_of)


def parse_arguments() -> argparse.Namespace:
    """The command line; the BUILD file gives the positional part."""
    parser = argparse.ArgumentParser(description="Writes the locks of the Python wheels.")
    parser.add_argument("sets", nargs="+", metavar="NAME:VERSIONS", help="an .in file and its Python versions")
    parser.add_argument("--only", metavar="NAME", help="resolve this .in file alone")
    return parser.parse_args()


def main() -> int:
    """Writes every lock, or none if one cannot be resolved."""
    arguments = parse_arguments()
    uv = next(str(p) for path in sys.path for p in pathlib.Path(path).glob("uv-*.data/scripts/uv"))
    locks: dict[str, dict[str, str]] = {}
    for name, versions in (item.split(":") for item in arguments.sets):
        if arguments.only not in (None, name):
            continue
        locks[name] = {}
        for version in versions.split(","):
            for cpu in PROCESSORS:
                print(f"resolving {name} for Python {version} on {cpu}", flush=True)
                try:
                    packages = resolve(uv, LOCKS / f"{name}.in", version, cpu)
                except subprocess.CalledProcessError:
                    return 1
                chosen = sorted((best(wheels, version, cpu), wheels) for wheels in packages)
                lines = [f"{wheels[wheel]}  {wheel}\n" for wheel, wheels in chosen]
                locks[name][f"cp{version.replace('.', '')}_{cpu}.txt"] = HEADER + "".join(lines)
    for name, files in locks.items():
        shutil.rmtree(LOCKS / name, ignore_errors=True)
        (LOCKS / name).mkdir()
        for file, text in files.items():
            (LOCKS / name / file).write_text(text)
            print(f"{name}/{file}: {text.count('.whl')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())

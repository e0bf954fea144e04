"""Toolkits and PyTorches that are nothing but files with the right names, which is all that an analysis looks at."""

from __future__ import annotations

import json
import pathlib
import sys

# What a build needs of a toolkit besides nvcc, where NVIDIA's packages install it.
TOOLKIT_FILES = [
    "bin/ptxas",
    "bin/fatbinary",
    "bin/nvlink",
    "bin/bin2c",
    "bin/crt/link.stub",
    "include/cuda_runtime.h",
    "include/crt/host_config.h",
    "include/nv/target",
    "lib64/libcudart_static.a",
]


def write(path: pathlib.Path, text: str = "", executable: bool = False) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755 if executable else 0o644)


def program(path: pathlib.Path, script: str) -> None:
    """Writes a shell script."""
    write(path, f"#!/bin/sh\n{script}\n", executable=True)


def python(
    path: pathlib.Path,
    version: str,
    *,
    abi: str = "",
    implementation: str = "cpython",
    pip: bool = True,
    headers: bool = True,
    torch: str = "",
) -> None:
    """A Python that tells the searches of //bazel/lib these facts; for all else it is the Python that runs."""
    include = path.parent / f"include-{path.name}"
    facts = {
        "executable": str(path),
        "version": version,
        "implementation": implementation,
        "soabi": f"cpython-{abi or version.replace('.', '')}-x86_64-linux-gnu",
        "include": str(include),
        "has_headers": headers,
        "has_pip": pip,
    }
    if headers:
        write(include / "Python.h")
    imports = {"path": [str(path.parent / "site-packages")], "folder": torch}
    answers = f"*find_spec*) echo '{json.dumps(imports)}' ;; *SOABI*) echo '{json.dumps(facts)}' ;;"
    program(path, f'case "$*" in {answers} *) exec {sys.executable} "$@" ;; esac')


def toolkit(folder: pathlib.Path, version: str, without: str = "") -> str:
    """A CUDA_HOME whose nvcc says it is of that version."""
    program(folder / "bin/nvcc", f"echo 'Cuda compilation tools, release {version}, V{version}.99'")
    for name in TOOLKIT_FILES:
        write(folder / name)
    (folder / "nvvm").mkdir()
    if without:
        (folder / without).unlink()
    return str(folder)


def torch(folder: pathlib.Path, version: str, cuda: str | None, libc10: str = "") -> str:
    """A site-packages with a torch of that version, built with that CUDA."""
    write(folder / "torch/version.py", f"__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\n")
    write(folder / "torch/lib/libc10.so", libc10)
    return str(folder)

"""The table of CUDA versions says of the selected toolkit what the toolkit says of itself."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest

NVCC = str(pathlib.Path(os.environ["NVCC"]).resolve())  # finds its parts beside itself
HOST_CONFIG = pathlib.Path(os.environ["HOST_CONFIG"]).read_text()
ROW = json.loads(pathlib.Path(os.environ["CUDA_BUILD"]).read_text())

# Supported by toolkits, but not by the kernels: older than Volta, and Xavier.
NOT_OURS = {"35", "37", "50", "52", "53", "60", "61", "62", "72"}


def test_version() -> None:
    output = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    assert "release {}.{},".format(*ROW["version"]) in output


def test_architectures() -> None:
    output = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    has = set(re.findall(r"compute_(\d+)\b", output)) - NOT_OURS
    assert {arch for arch in ROW["supported_archs"] if arch.isdigit()} == has


@pytest.mark.parametrize("arch", [arch for arch in ROW["known_archs"] if not arch.isdigit()])
def test_architecture_specific_variants(arch: str, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "empty.cu"
    source.touch()
    code = f"-gencode=arch=compute_{arch},code=sm_{arch}"
    result = subprocess.run([NVCC, "--dryrun", code, "-c", str(source)], capture_output=True, text=True, check=False)
    assert (result.returncode == 0) == (arch in ROW["supported_archs"]), result.stderr


def test_host_compilers() -> None:
    newest_gcc = int(re.findall(r"__GNUC__ > (\d+)", HOST_CONFIG)[0])
    first_refused_clang = int(re.findall(r"__clang_major__ >= (\d+)", HOST_CONFIG)[0])
    assert ROW["gcc"][1] == newest_gcc
    assert ROW["clang"][1] == first_refused_clang - 1

"""The built modules hold code for exactly the selected architectures and element types."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest

MODULES = os.environ["MODULES"].split()


def selected() -> tuple[set[str], set[str]]:
    """Architectures selected for the build: those with machine code and those with PTX."""
    archs = pathlib.Path(os.environ["CUDA_ARCHS"]).read_text().strip().split(";")
    return {a.removesuffix("+PTX") for a in archs}, {a.removesuffix("+PTX") for a in archs if a.endswith("+PTX")}


def listed(module: str, option: str) -> set[str]:
    """Architectures of a module's machine code (--list-elf) or PTX (--list-ptx), as cuobjdump names its files."""
    output = subprocess.run([os.environ["CUOBJDUMP"], option, module], capture_output=True, text=True)
    return set(re.findall(r"\.sm_(\w+)\.(?:cubin|ptx)", output.stdout))


@pytest.mark.parametrize("module", MODULES)
def test_machine_code(module: str) -> None:
    assert listed(module, "--list-elf") == selected()[0]


@pytest.mark.parametrize("module", MODULES)
def test_ptx(module: str) -> None:
    assert listed(module, "--list-ptx") == selected()[1]


@pytest.mark.parametrize("module", MODULES)
def test_bfloat16_kernels_are_there_exactly_if_selected(module: str) -> None:
    command = [os.environ["CUOBJDUMP"], "--dump-elf-symbols", module]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "__half" in symbols
    assert ("__nv_bfloat16" in symbols) == (os.environ["BF16"] == "1")

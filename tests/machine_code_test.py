"""The built modules hold code for exactly the selected architectures and element types."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest

MODULES = os.environ["MODULES"].split()
ARCHS = json.loads(pathlib.Path(os.environ["CUDA_BUILD"]).read_text())["archs"].split(";")


def accompanying(module: str) -> set[str]:
    """Architectures of code for one GPU alone, such as wgmma's 90a, that comes with the selected ones."""
    hopper = os.environ["HOPPER"] == "1" and "awq_inference_engine" in module
    return {"90a"} if hopper else set()


def listed(module: str, option: str) -> set[str]:
    """Architectures of a module's machine code (--list-elf) or PTX (--list-ptx), as cuobjdump names its files."""
    output = subprocess.run([os.environ["CUOBJDUMP"], option, module], capture_output=True, text=True, check=True)
    return set(re.findall(r"\.sm_(\w+)\.(?:cubin|ptx)", output.stdout))


@pytest.mark.parametrize("module", MODULES)
def test_machine_code(module: str) -> None:
    assert listed(module, "--list-elf") == {arch.removesuffix("+PTX") for arch in ARCHS} | accompanying(module)


@pytest.mark.parametrize("module", MODULES)
def test_ptx(module: str) -> None:
    assert listed(module, "--list-ptx") == {arch.removesuffix("+PTX") for arch in ARCHS if arch.endswith("+PTX")}


@pytest.mark.parametrize("module", MODULES)
def test_bfloat16_kernels_are_there_exactly_if_selected(module: str) -> None:
    command = [os.environ["CUOBJDUMP"], "--dump-elf-symbols", module]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "__half" in symbols
    assert ("__nv_bfloat16" in symbols) == (os.environ["BF16"] == "1")

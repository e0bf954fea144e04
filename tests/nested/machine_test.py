"""Machines as users have them: what is there is found, what is missing is named, a cure is seen by the next command.

The doctor and a build agree about each of them. The checkout lies in a folder with blanks and other signs in its path.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from workspace import Checkout

from testing import fakes

PROGRAMS = ("/usr/local/bin", "/usr/bin", "/bin")
PYTHON = "3.12"  # one that Debian's packages do not bring along


@pytest.fixture(scope="module")
def workspace() -> Iterator[Checkout]:
    with Checkout("machine", root="a source tree #1 (50%)") as checkout:
        yield checkout


class Machine:
    """A PATH that a test fills, and the answers of a build and of the doctor."""

    def __init__(self, workspace: Checkout, folder: pathlib.Path) -> None:
        self.folder = folder
        self._workspace = workspace
        self.environment = {
            "AWQ_PYTHON": "installed",
            "CUDA_HOME": fakes.toolkit(folder / "cuda", "12.4"),
            "PATH": ":".join([str(folder / "bin"), *PROGRAMS]),
            "PYENV_ROOT": "/nonexistent",
        }

    def outcome(self) -> tuple[bool, str]:
        """Whether the analysis succeeds, and what it and the doctor print. The doctor agrees."""
        settings = ["--config=local_cuda", "--config=local_torch", f"--//config:python={PYTHON}"]
        result = self._workspace.bazel("build", "--nobuild", *settings, "//config:torch_check", **self.environment)
        doctor = self._workspace.bazel("run", *settings, "//:doctor", "--", "--json", **self.environment)
        assert (doctor.returncode == 0) == (result.returncode == 0), result.stdout + doctor.stdout
        return result.returncode == 0, result.stdout + doctor.stdout

    def refused(self, *words: str) -> None:
        """A build and the doctor name what is wrong."""
        succeeded, output = self.outcome()
        assert not succeeded, output
        for word in words:
            assert output.count(word) >= 2, f"not said by both: {word}\n{output}"

    def accepted(self, *words: str) -> None:
        """A build would work; the doctor names what it would use."""
        succeeded, output = self.outcome()
        assert succeeded, output
        for word in words:
            assert word in output, output


@pytest.fixture
def machine(workspace: Checkout, tmp_path: pathlib.Path) -> Machine:
    """Has a Python with a PyTorch, and a toolkit that fits."""
    machine = Machine(workspace, tmp_path)
    site = fakes.torch(tmp_path / "bin/site-packages", "2.6.0+cu124", "12.4")
    fakes.python(tmp_path / f"bin/python{PYTHON}", PYTHON, torch=site)
    return machine


def test_cures_are_seen_by_the_next_command(machine: Machine) -> None:
    """With Bazel's server running all the time, things are missing and then there."""
    python = machine.folder / f"bin/python{PYTHON}"
    site = machine.folder / "bin/site-packages"
    header = machine.folder / "cuda/include/cuda_runtime.h"

    header.unlink()
    machine.refused("the CUDA toolkit is incomplete", "no include/cuda_runtime.h")
    fakes.write(header)
    machine.accepted()

    shutil.rmtree(site)
    fakes.python(python, PYTHON)
    machine.refused("PyTorch is not installed", "has no torch")
    torch = fakes.torch(site, "2.6.0+cu124", "12.4")
    fakes.python(python, PYTHON, torch=torch)
    machine.accepted()

    machine.environment["AWQ_TORCH_PATH"] = torch
    python.unlink()
    machine.refused(f"Python {PYTHON} with its C headers was not found", "--//config:python=")
    fakes.python(python, PYTHON, headers=False)
    machine.refused(f"Python {PYTHON} with its C headers was not found", "has no Python.h")
    fakes.write(python.parent / f"include-{python.name}/Python.h")
    fakes.python(python, PYTHON, torch=torch)
    machine.accepted("2.6.0+cu124")


def test_environment_is_taken_with_its_own_pytorch(machine: Machine) -> None:
    torch = fakes.torch(machine.folder / "venv/site-packages", "2.6.1+cu124", "12.4")
    fakes.python(machine.folder / "venv/bin/python3", PYTHON, torch=torch)
    machine.environment["PATH"] = f"{machine.folder}/venv/bin:{machine.environment['PATH']}"
    machine.accepted("2.6.1+cu124", f"{machine.folder}/venv/bin/python3")


def test_real_virtual_environment(machine: Machine) -> None:
    """What is found is the environment's PyTorch, not that of the Python it was made from."""
    folder = machine.folder / "venv"
    made = subprocess.run(["python3", "-m", "venv", "--without-pip", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("python3 makes no virtual environments")
    version = subprocess.run(
        [str(folder / "bin/python"), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    fakes.torch(folder / f"lib/python{version}/site-packages", "2.6.2+cu124", "12.4")
    fakes.write(folder / f"lib/python{version}/site-packages/torch/__init__.py")
    machine.environment["PATH"] = f"{folder}/bin:{machine.environment['PATH']}"
    result = machine._workspace.bazel(
        "run",
        "--config=local_torch",
        f"--//config:python={version}",
        "//:doctor",
        "--",
        "--json",
        **machine.environment,
    )
    answer = json.loads(result.stdout[result.stdout.index('{\n  "schema"') :])
    [found] = [check for check in answer["checks"] if check["name"] == "torch"]
    assert found["facts"]["version"] == "2.6.2+cu124"
    assert f"{folder}/bin/python" in found["facts"]["where"]


@pytest.mark.parametrize("facts", [{"abi": "312t"}, {"abi": "312d"}], ids=["free-threaded", "debug"])
def test_python_of_another_abi(machine: Machine, facts: dict[str, str]) -> None:
    python = machine.folder / f"bin/python{PYTHON}"
    fakes.python(python, PYTHON, **facts)
    machine.refused(f"with the ABI cpython-{facts['abi']}")


def test_toolkit_of_conda(machine: Machine) -> None:
    """Its headers and libraries lie in targets/; the folders of the usual names are there, and empty."""
    home = machine.folder / "cuda"
    (home / "targets/x86_64-linux").mkdir(parents=True)
    for name, moved in {"include": "include", "lib64": "lib"}.items():
        (home / name).rename(home / "targets/x86_64-linux" / moved)
        (home / moved).mkdir()
    machine.accepted("12.4, CUDA_HOME=")


def test_variables_of_another_python(machine: Machine) -> None:
    machine.environment |= {"PYTHONHOME": "/nonexistent", "PYTHONPATH": "/nonexistent"}
    machine.accepted("2.6.0+cu124")

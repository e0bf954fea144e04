"""Fixtures: the compiled modules, the device, fixed seeds.

torch is imported where it is used, because tests of the build run without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

# These read files that Bazel hands them through the environment; a plain `pytest tests` leaves them out. A file that is
# named on the command line, as Bazel does, is collected all the same.
collect_ignore_glob = [
    "cuda_table_test.py",
    "environments_test.py",
    "lint/*",
    "machine_code_test.py",
    "mypy_test.py",
    "nested/*",
    "pages_test.py",
    "reproducible_names_test.py",
    "rules/*",
    "universal_test.py",
    "wheel_test.py",
]

# Bazel brings the packages that these need; where one is not installed, a plain `pytest tests` leaves them out.
_NEEDED = {
    "safetensors": ["checkpoint_*test.py", "generate_test.py", "smollm2_test.py", "transformers_test.py"],
    "transformers": ["generate_test.py", "smollm2_test.py", "transformers_test.py"],
}
for _package, _files in _NEEDED.items():
    if importlib.util.find_spec(_package) is None:
        collect_ignore_glob += _files


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker here too: under Bazel no configuration file is read."""
    config.addinivalue_line("markers", "gpu: needs a CUDA device; reported as skipped where there is none")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` are skipped, never passed, without a GPU; so are bfloat16's where the build has none."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    parameters = getattr(item, "callspec", None)
    if parameters and torch.bfloat16 in parameters.params.values() and not _built_with_bf16():
        pytest.skip("the module was built without bfloat16")


def _built_with_bf16() -> bool:
    """Whether the module was built with --//config:bf16; its docstrings name the types it takes."""
    return "bfloat16" in importlib.import_module("awq_inference_engine").silu_and_mul.__doc__


def _module(name: str) -> ModuleType:
    """A compiled module. One of the pybind11 form wants PyTorch's libraries loaded before."""
    importlib.import_module("torch")
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def engine() -> ModuleType:
    """The compiled module `awq_inference_engine`."""
    return _module("awq_inference_engine")


@pytest.fixture(scope="session")
def ft() -> ModuleType:
    """The compiled module `ft_attention`."""
    return _module("ft_attention")


@pytest.fixture
def device() -> torch.device:
    """Where tests that run kernels put their tensors."""
    import torch

    return torch.device("cuda")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test draws the same numbers, in whatever order tests run."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(20240607)

"""A universal module uses the limited API and system libraries, and refuses in words what does not fit."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import abi3info
import elf
import pytest
from abi3info.models import PyVersion

MODULES = [pathlib.Path(path).absolute() for path in os.environ["MODULES"].split()]
OLDEST = PyVersion(3, 10)
# Those that the definition of manylinux names, as far as they are used.
SYSTEM = {"libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6"}

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name.split(".")[0])


def test_no_pytorch_is_needed_to_build() -> None:
    edges = json.loads(pathlib.Path(os.environ["TARGETS"]).read_text())
    targets = {edge["target"] for edge in edges}
    assert {"//csrc/bindings:universal_form", "//csrc/w4a16:w4a16"} <= targets
    assert not [target for target in targets if "torch" in target or "pybind11" in target]


@every_module
def test_symbols_are_the_limited_api_s_and_the_system_s(path: pathlib.Path) -> None:
    library = elf.Library(path.read_bytes())
    limited = {
        symbol.linux: entry.added for table in (abi3info.FUNCTIONS, abi3info.DATAS) for symbol, entry in table.items()
    }
    python = {name for name, versioned in library.imports.items() if not versioned}
    assert {"PyModule_Create2", "Py_DecRef"} <= python
    assert [name for name in sorted(python) if name not in limited or limited[name] > OLDEST] == []
    assert {name for name in library.needed if not name.startswith("ld-linux")} <= SYSTEM
    assert not library.run_path


def test_the_headers_of_every_python_give_the_same_file() -> None:
    files = [pathlib.Path(path).read_bytes() for path in os.environ["SEVERAL"].split()]
    assert len(files) == 3
    assert len(set(files)) == 1


@every_module
def test_one_symbol_is_exported(path: pathlib.Path) -> None:
    assert elf.Library(path.read_bytes()).exports == {f"PyInit_{path.name.split('.')[0]}"}
    assert path.name.endswith(".abi3.so")


def pretend_torch(folder: pathlib.Path, version: str, cuda: str | None) -> None:
    """A package that has PyTorch's name and version, and nothing else."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(
        f"from torch import version\n__version__ = {version!r}\nclass Tensor: pass\n"
    )
    (folder / "torch" / "version.py").write_text(f"cuda = {cuda!r}\n")


def refusal(path: pathlib.Path, folder: pathlib.Path, **variables: str) -> str:
    """The message of the ImportError that importing the module ends with, next to what lies in a folder."""
    module = path.name.split(".")[0]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path.parent), str(folder)]), **variables}
    script = f"import {module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "During handling" not in done.stderr
    return done.stderr[done.stderr.rindex("ImportError: ") + len("ImportError: ") :].rstrip()


@every_module
def test_no_torch_is_refused_in_words(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    module = path.name.split(".")[0]
    assert refusal(path, tmp_path) == (
        f"{module} needs PyTorch 2.11 or newer with CUDA, and there is none. "
        "Install one, such as pip install 'torch>=2.11'."
    )


@every_module
@pytest.mark.parametrize(
    ("version", "cuda", "problem"),
    [
        ("2.9.1+cu128", "12.8", r"this is torch 2\.9\.1\+cu128, in .*torch/__init__\.py\. Install one"),
        ("2.15.0+cpu", None, r"this is torch 2\.15\.0\+cpu, in .*torch/__init__\.py, without CUDA\. Install one"),
    ],
)
def test_another_torch_is_refused_in_words(
    path: pathlib.Path, version: str, cuda: str | None, problem: str, tmp_path: pathlib.Path
) -> None:
    pretend_torch(tmp_path, version, cuda)
    message = refusal(path, tmp_path)
    assert re.match(rf"\w+ needs PyTorch 2\.11 or newer with CUDA, and {problem}", message), message


@every_module
def test_a_torch_that_cannot_be_imported_is_told_of(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "torch.py").write_text("import nothing_of_this_name\n")
    message = refusal(path, tmp_path)
    assert message.endswith("cannot be imported: No module named 'nothing_of_this_name'"), message


@every_module
def test_an_old_driver_is_refused_in_words(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = str(pathlib.Path(os.environ["OLD_DRIVER"]).absolute().parent)
    message = refusal(path, tmp_path, LD_LIBRARY_PATH=folder)
    assert re.match(r"\w+ holds the CUDA (\d+) runtime and needs a driver for CUDA \1 or newer; ", message), message
    assert "this machine's driver is for CUDA 11.4." in message


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

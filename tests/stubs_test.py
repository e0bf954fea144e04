"""The type stubs agree with the built modules: mypy's stubtest imports each and compares."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from types import ModuleType

import pytest

pytest.importorskip("mypy.stubtest", reason="mypy is not installed")

# stubtest imports the module by itself, before torch has loaded the libraries that it links to.
STUBTEST = (
    "import sys, torch; from mypy import stubtest; sys.exit(stubtest.test_stubs(stubtest.parse_options(sys.argv[1:])))"
)


@pytest.mark.parametrize("name", ["awq_inference_engine", "ft_attention"])
def test_stubtest(name: str, engine: ModuleType, ft: ModuleType, tmp_path: pathlib.Path) -> None:
    module = {"awq_inference_engine": engine, "ft_attention": ft}[name]
    assert module.__file__
    torch_folder = next(p for p in sys.path if (pathlib.Path(p) / "torch").is_dir())
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MYPYPATH": os.pathsep.join([str(pathlib.Path(module.__file__).parent), torch_folder]),
    }
    result = subprocess.run(
        [sys.executable, "-c", STUBTEST, name], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr

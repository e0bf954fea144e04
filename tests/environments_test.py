"""The universal wheel in clean environments: the tests that need no GPU, with PyTorch from the package index.

Each combination downloads some 3 GB and needs 8 GB of disk while it runs. A Python that is not installed is skipped.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

[WHEEL] = pathlib.Path(os.environ["WHEEL"]).absolute().glob("*.whl")
TESTS = pathlib.Path(__file__).absolute().parent
FILES = ["arguments_test.py", "callers_test.py", "contract_test.py", "fuzz_test.py", "tracing_test.py"]

# The oldest PyTorch, one between and the newest, and the Pythons that each has wheels for.
TORCH = {"2.11.0": ["3.10", "3.12", "3.14"], "2.13.0": ["3.10", "3.12", "3.14"], "2.15.0": ["3.12", "3.14"]}
FEW = [("2.11.0", "3.10"), ("2.13.0", "3.12"), ("2.15.0", "3.14")]
ALL = [(torch, python) for torch, pythons in TORCH.items() for python in pythons]
COMBINATIONS = ALL if os.environ.get("ENVIRONMENTS") == "all" else FEW


def interpreter(version: str) -> str | None:
    """An installed CPython of a version: on PATH, or of pyenv's."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path("~/.pyenv").expanduser())) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in filter(None, candidates):
        script = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        found = subprocess.run([candidate, "-c", script], capture_output=True, text=True, check=False)
        if found.stdout.strip() == version:
            return candidate
    return None


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A folder of its own, removed at once: pytest keeps those of three runs."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as name:
        yield pathlib.Path(name)


@pytest.mark.parametrize(("torch", "python"), COMBINATIONS)
def test_tests_pass_in_a_clean_environment(torch: str, python: str, folder: pathlib.Path) -> None:
    found = interpreter(python)
    if not found:
        pytest.skip(f"no Python {python} is installed")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = folder / "environment"

    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, check=False)
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    run(found, "-m", "venv", str(environment))
    program = str(environment / "bin" / "python")
    run(program, "-m", "pip", "install", "--quiet", "--no-cache-dir", f"torch=={torch}", "pytest", str(WHEEL))
    assert run(program, "-c", "import torch; print(torch.__version__)").startswith(torch)
    shutil.copytree(TESTS / "testing", folder / "testing")
    for file in ["conftest.py", "fuzz.py", *FILES]:
        shutil.copy(TESTS / file, folder)
    options = ["-q", "-p", "no:cacheprovider", "-m", "not gpu", "-c", os.devnull, f"--rootdir={folder}"]
    output = run(program, "-m", "pytest", *options, *FILES)
    assert " passed" in output and "skipped" not in output, output[-2000:]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

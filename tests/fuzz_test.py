"""A bounded number of random calls with fixed seeds; see fuzz.py, which makes any number."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import fuzz
import pytest
import torch

from testing.contract import EXPORTS

# What an argument check may raise. An accident inside torch is another error, or one that does not name the function.
REFUSALS = {"TypeError", "ValueError"}


@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_only_python_exceptions(export: tuple[str, str], engine: ModuleType, ft: ModuleType) -> None:
    outcomes = fuzz.fuzz(400, seed=1000, device="cpu", functions=[export])
    assert sum(outcomes.values()) == 400
    kinds = {outcome.split(": ")[1] for outcome in outcomes}
    # With every tensor on the CPU nothing may run, whatever else is right.
    assert kinds == REFUSALS


@pytest.mark.gpu
def test_the_gpu_survives(engine: ModuleType, ft: ModuleType, device: torch.device) -> None:
    """In a process of its own: a kernel that breaks the CUDA context would fail every later test as well."""
    # The child finds modules where this process does, whether through PYTHONPATH, pytest or Bazel.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, fuzz.__file__, "--calls", "5000", "--seed", "2000", "--device", device.type],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    kinds = {line.split(": ")[1] for line in done.stdout.splitlines() if line.startswith(" ")}
    assert REFUSALS <= kinds <= REFUSALS | {"returned"}, kinds


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""A bounded number of random calls with fixed seeds; see fuzz.py, which makes any number."""

from __future__ import annotations

from types import ModuleType

import fuzz
import pytest
import torch

from testing.contract import EXPORTS

# What an argument check may raise: its own two, and what pybind11 or torch say of integers out of range and the like.
REFUSALS = {"returned", "TypeError", "ValueError", "RuntimeError", "NotImplementedError", "OverflowError"}


@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_only_python_exceptions(export: tuple[str, str], engine: ModuleType, ft: ModuleType) -> None:
    outcomes = fuzz.fuzz(400, seed=1000, device="cpu", functions=[export])
    assert sum(outcomes.values()) == 400
    kinds = {outcome.split(": ")[1] for outcome in outcomes}
    assert kinds <= REFUSALS, kinds
    # With every tensor on the CPU nothing may run, whatever else is right.
    assert "returned" not in kinds


@pytest.mark.gpu
@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_the_gpu_survives(export: tuple[str, str], engine: ModuleType, ft: ModuleType, device: torch.device) -> None:
    outcomes = fuzz.fuzz(400, seed=2000, device=device.type, functions=[export])
    kinds = {outcome.split(": ")[1] for outcome in outcomes}
    assert kinds <= REFUSALS, kinds
    # The context is usable afterwards.
    assert int(torch.ones(8, device=device).sum()) == 8


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""The kernel folder, as Hugging Face's library `kernels` loads it."""

from __future__ import annotations

import os
import pathlib

import kernels
import pytest
import torch

from testing.contract import FUNCTIONS, SETTINGS

FOLDER = pathlib.Path(os.environ["FOLDER"])


def test_a_local_kernel_has_the_functions() -> None:
    kernel = kernels.get_local_kernel(FOLDER)
    assert {*FUNCTIONS, *SETTINGS} <= set(vars(kernel))
    assert kernel.ft_attention.single_query_attention
    with pytest.raises(ValueError, match="silu_and_mul: input must be on a CUDA device"):
        kernel.silu_and_mul(torch.zeros(2, 8, dtype=torch.float16))
    [loaded] = [entry for entry in kernels.get_loaded_kernels() if entry.module is kernel]
    assert (loaded.metadata.name.python_name, loaded.metadata.license) == ("awq_kernels", "Apache-2.0")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

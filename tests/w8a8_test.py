"""int8 weights and activations with fused scales and bias, against exact integer sums."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from awq_kernels import reference
from testing.numeric import assert_close, assert_same_bits

pytestmark = pytest.mark.gpu

HALF_UNIT = 2.0**-11


def make(m: int, n: int, k: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """in_feats, kernel, wscales, ascales, bias: results of about 1 to 100, the bias no smaller."""
    return (
        torch.randint(-128, 128, (m, k), dtype=torch.int8, device=device),
        torch.randint(-128, 128, (n, k), dtype=torch.int8, device=device),
        (torch.rand(n, device=device) * 0.01 + 0.001).half(),
        (torch.rand(m, device=device) * 0.01 + 0.001).half(),
        (torch.randn(n, device=device) * 20).half(),
    )


def run(engine: ModuleType, tensors: tuple[torch.Tensor, ...], with_bias: bool) -> torch.Tensor:
    a, w, wscales, ascales, bias = tensors
    out = torch.full((a.shape[0], w.shape[0]), torch.nan, dtype=torch.float16, device=a.device)
    if with_bias:
        engine.w8a8_gemm_fuse_bias_forward_cuda(a, w, wscales, ascales, out, bias)
    else:
        engine.w8a8_gemm_forward_cuda(a, w, wscales, ascales, out)
    return out


def run_unaligned(engine: ModuleType, tensors: tuple[torch.Tensor, ...], with_bias: bool) -> torch.Tensor:
    """Into memory that the tensor copy engine cannot write: a Hopper GPU, too, then runs the kernel of all others."""
    a, w, wscales, ascales, bias = tensors
    m, n = a.shape[0], w.shape[0]
    out = torch.full((m * n + 1,), torch.nan, dtype=torch.float16, device=a.device)[1:].view(m, n)
    if with_bias:
        engine.w8a8_gemm_fuse_bias_forward_cuda(a, w, wscales, ascales, out, bias)
    else:
        engine.w8a8_gemm_forward_cuda(a, w, wscales, ascales, out)
    return out.clone()


def check(engine: ModuleType, tensors: tuple[torch.Tensor, ...], with_bias: bool) -> None:
    a, w, wscales, ascales, bias = tensors
    out = run(engine, tensors, with_bias)
    for first in range(0, a.shape[0], 2048):
        part = slice(first, first + 2048)
        exact = torch.empty(out[part].shape, dtype=torch.float64, device=out.device)
        reference.w8a8_gemm_forward_cuda(a[part], w, wscales, ascales[part], exact)
        # The sum becomes float32, two products and the addition round there: 4 units of 2^-24 of the larger operand.
        allowed = exact.abs() * 2.0**-22 + 2.0**-25
        if with_bias:
            allowed += bias.double().abs() * 2.0**-22
            exact += bias.double()
        assert_close(out[part], exact, relative=HALF_UNIT, absolute=allowed)


@pytest.mark.parametrize("with_bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(("n", "k"), [(8, 16), (24, 64), (100, 144), (264, 1152), (1000, 4304)])
def test_ragged(n: int, k: int, with_bias: bool, engine: ModuleType, device: torch.device) -> None:
    for m in (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 65, 100, 127, 128, 129, 200, 257):
        check(engine, make(m, n, k, device), with_bias)


# M <= 128 with bias at these sizes is where the original kernel was wrong.
@pytest.mark.parametrize("with_bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(
    ("n", "k", "rows"),
    [
        (28672, 4096, (16, 128, 1024, 4096, 16384)),
        (4096, 14336, (1, 16, 128, 4096)),
        (4096, 4096, (1, 16, 64, 128, 129)),
    ],
)
def test_model_shapes(
    n: int, k: int, rows: tuple[int, ...], with_bias: bool, engine: ModuleType, device: torch.device
) -> None:
    for m in rows:
        check(engine, make(m, n, k, device), with_bias)


# Tiles that end within 64 channels, tiles that do not, rows of weights that no block has, K that fills no stage. Which
# configuration they reach is for the tables to say; bench/configurations_test.py runs all of them.
@pytest.mark.parametrize(
    ("n", "k", "rows"),
    [
        (8, 16, (1, 17, 33)),
        (264, 1040, (1, 16, 32, 64, 300)),
        (8456, 144, (1, 15, 31, 63)),
        (12304, 4112, (16, 32, 64, 65)),
        (2824, 272, (130, 200)),
        (5640, 144, (130, 513)),
        (7040, 528, (257, 700)),
        (28672, 512, (1, 16, 64, 128, 1500)),
        (4096, 4096, (128, 256, 512, 1024)),
    ],
)
def test_both_kernels_give_the_same_bits(
    n: int, k: int, rows: tuple[int, ...], engine: ModuleType, device: torch.device
) -> None:
    for m in rows:
        tensors = make(m, n, k, device)
        check(engine, tensors, True)
        for with_bias in (False, True):
            assert_same_bits(run(engine, tensors, with_bias), run_unaligned(engine, tensors, with_bias))


def test_largest_sums_are_exact(engine: ModuleType, device: torch.device) -> None:
    """All -128: the sum of K products is 2^14 K, far past what float32 or float16 could accumulate exactly."""
    for m in (1, 40, 200):
        k = 65536
        a, w, wscales, ascales, bias = make(m, 64, k, device)
        a.fill_(-128)
        w.fill_(-128)
        w[1, 3], a[0, 5] = 127, 127
        wscales.fill_(2.0**-14)
        ascales.fill_(2.0**-14)
        for with_bias in (False, True):
            check(engine, (a, w, wscales, ascales, bias), with_bias)


def test_bias_is_added_once_per_column(engine: ModuleType, device: torch.device) -> None:
    for m in (1, 16, 128, 300):
        a, w, wscales, ascales, bias = make(m, 512, 256, device)
        a.zero_()
        out = run(engine, (a, w, wscales, ascales, bias), True)
        assert torch.equal(out, bias.expand(m, -1))


def test_two_runs_give_the_same_bits(engine: ModuleType, device: torch.device) -> None:
    for m in (1, 16, 100, 1000):
        tensors = make(m, 4096, 4096, device)
        for with_bias in (False, True):
            assert_same_bits(run(engine, tensors, with_bias), run(engine, tensors, with_bias))


def test_zero_rows(engine: ModuleType, device: torch.device) -> None:
    for with_bias in (False, True):
        assert run(engine, make(0, 64, 128, device), with_bias).shape == (0, 64)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

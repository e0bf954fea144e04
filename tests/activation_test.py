"""Gated SiLU, and GELU with quantization, against the references."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from awq_kernels import reference
from testing.numeric import UNIT, assert_close, assert_quantized, assert_rounded

pytestmark = pytest.mark.gpu

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
WIDTHS = [1, 3, 8, 100, 127, 1024, 4097, 14336]
# exp of a float32 argument up to 88 is exact to 88 units: exp2(x * log2 e) rounds the product once.
SILU_STEPS = {torch.float16: 1.0, torch.bfloat16: 1.0, torch.float32: 100.0}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("d", WIDTHS)
def test_silu_and_mul(d: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for shape in ((1,), (2, 5)):
        x = (torch.randn(*shape, 2 * d, device=device) * 4).to(dtype)
        out = engine.silu_and_mul(x)
        assert out.dtype == dtype and out.shape == (*shape, d)
        # A sixteenth more than one rounding covers float32's error in 16-bit results; subnormal ones add their step.
        assert_rounded(out, reference.silu_and_mul(x.double()), steps=SILU_STEPS[dtype])


def test_silu_and_mul_at_the_ends(engine: ModuleType, device: torch.device) -> None:
    gate = torch.tensor([0.0, -0.0, 60000.0, -60000.0, torch.inf, torch.nan, 20.0, -20.0, 100.0, -100.0])
    x = torch.cat((gate, torch.ones(10))).to(device)
    for dtype in DTYPES:
        out = engine.silu_and_mul(x.to(dtype)[None])[0].float()
        # silu(-inf) is not asked for: -inf * 0 is NaN by the formula, 0 in the limit.
        exact = reference.silu_and_mul(x.to(dtype).double()[None])[0]
        # The smallest float32 results (silu(-100) = -4e-42) may be flushed to zero.
        assert_close(out, exact.to(dtype), relative=2 * SILU_STEPS[dtype] * UNIT[dtype], absolute=2.0**-24)


def test_silu_and_mul_at_model_shape(engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(4096, 2 * 14336, device=device).half()
    assert_rounded(engine.silu_and_mul(x), reference.silu_and_mul(x.double()))


def gelu(engine: ModuleType, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    out = torch.full(x.shape, 77, dtype=torch.int8, device=x.device)
    scale = torch.full((x.numel() // x.shape[-1],), torch.nan, device=x.device).half()
    tmp = torch.full_like(x, torch.nan)
    engine.gelu_and_quant(out, x, scale, tmp)
    return out, scale, tmp


def check_gelu(engine: ModuleType, x: torch.Tensor) -> None:
    out, scale, tmp = gelu(engine, x)
    exact = torch.nn.functional.gelu(x.double(), approximate="tanh")
    # 1 + tanh cancels for negative x: float32's unit then stands beside x / 2 itself, a few times.
    assert_rounded(tmp, exact, absolute=x.double().abs() * 2.0**-21)
    # The values to quantize are the stored ones; with the unrounded ones a step would move by 127 * 2^-10 at most.
    assert_quantized(out, scale, tmp)


@pytest.mark.parametrize("d", WIDTHS)
def test_gelu_and_quant(d: int, engine: ModuleType, device: torch.device) -> None:
    for shape in ((1,), (2, 5)):
        check_gelu(engine, (torch.randn(*shape, d, device=device) * 3).half())


def test_gelu_and_quant_at_model_shape(engine: ModuleType, device: torch.device) -> None:
    check_gelu(engine, torch.randn(4096, 14336, device=device).half())


def test_gelu_and_quant_of_zeros_and_of_extremes(engine: ModuleType, device: torch.device) -> None:
    x = torch.zeros(4, 64, device=device).half()
    x[1] = -60000  # GELU is -0 there: a row of zeros too
    x[2, 5] = 60000
    x[3] = torch.linspace(-8, 8, 64)
    out, scale, _ = gelu(engine, x)
    assert not out[:2].any() and scale.isfinite().all()
    assert int(out[2, 5]) == 127 and not out[2, :5].any()
    check_gelu(engine, x[2:].contiguous())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""RMSNorm, and LayerNorm with quantization, against the references."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from awq_kernels import reference
from testing.numeric import assert_close, assert_quantized, assert_rounded, assert_same_bits

pytestmark = pytest.mark.gpu

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
# Odd, below and above one vector, warp and block; the widths of models; one past what a block keeps in registers.
CHANNELS = [1, 2, 7, 8, 33, 127, 256, 1000, 1025, 4096, 5120, 8191, 14336, 40000]
# float32: sum of C squares in some tree order, rsqrt of 2 units, three products.
FLOAT32_STEPS = 12.0


def rms_norm(
    engine: ModuleType, x: torch.Tensor, gamma: torch.Tensor, eps: float = 1e-5
) -> tuple[torch.Tensor, torch.Tensor]:
    """The module's result, written over NaN, and the exact one."""
    out, exact = torch.full_like(x, torch.nan), torch.empty_like(x, dtype=torch.float64)
    engine.layernorm_forward_cuda(x, gamma, out, eps)
    reference.layernorm_forward_cuda(x.double(), gamma.double(), exact, eps)
    return out, exact


def steps(dtype: torch.dtype) -> float:
    return FLOAT32_STEPS if dtype == torch.float32 else 1.0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_rms_norm(c: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for batch, tokens in ((1, 1), (2, 5)):
        x = torch.randn(batch, tokens, c, device=device).to(dtype)
        gamma = torch.randn(c, device=device).to(dtype)
        assert_rounded(*rms_norm(engine, x, gamma), steps=steps(dtype))


@pytest.mark.parametrize("tokens", [4096, 16384])
def test_rms_norm_at_model_shapes(tokens: int, engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(1, tokens, 4096, device=device).half()
    assert_rounded(*rms_norm(engine, x, torch.randn(4096, device=device).half()))


def test_rms_norm_of_zeros_and_of_extremes(engine: ModuleType, device: torch.device) -> None:
    gamma = torch.ones(512, device=device).half()
    x = torch.zeros(1, 3, 512, device=device).half()
    x[0, 1] = 65504  # the squares overflow float16
    x[0, 2] = 2.0**-24  # and here underflow it
    assert_rounded(*rms_norm(engine, x, gamma))


def test_rms_norm_saturates_in_float16_only(engine: ModuleType, device: torch.device) -> None:
    x = torch.ones(1, 4, 64, device=device)
    x[0, :, 0] = torch.tensor([100.0, -100.0, 50.0, 1.0])
    gamma = torch.full((64,), 30000.0, device=device)
    out, _ = rms_norm(engine, x.half(), gamma.half())
    assert out[0, :3, 0].tolist() == [65504.0, -65504.0, 65504.0] and out.isfinite().all()
    out, exact = rms_norm(engine, x.bfloat16(), gamma.bfloat16())
    assert_rounded(out, exact)
    assert float(out.abs().max()) > 65504


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rms_norm_passes_nan_and_infinity_on(dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(1, 4, 96, device=device).to(dtype)
    x[0, 1, 5], x[0, 2, 95], x[0, 3, 0] = torch.nan, torch.inf, -torch.inf
    out, exact = rms_norm(engine, x, torch.ones(96, device=device).to(dtype))
    # The row of a NaN is NaN; an infinity makes the others of its row zero and itself NaN (inf * 0).
    assert_rounded(out, exact, steps=steps(dtype))
    assert out[0, 1].isnan().all() and out[0, 2, 95].isnan() and not out[0, 2, :95].any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("offset", [1, 3, 4])
def test_unaligned_slices(offset: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    """Contiguous views that start at any element: the pointer is no multiple of 16 bytes."""
    c, tokens = 264, 3

    def view(values: torch.Tensor) -> torch.Tensor:
        buffer = torch.empty(values.numel() + offset, dtype=values.dtype, device=device)
        return buffer[offset:].view(values.shape).copy_(values)

    x, gamma = view(torch.randn(1, tokens, c, device=device).to(dtype)), view(torch.randn(c, device=device).to(dtype))
    out, exact = view(torch.full_like(x, torch.nan)), torch.empty(1, tokens, c, dtype=torch.float64, device=device)
    engine.layernorm_forward_cuda(x, gamma, out, 1e-6)
    reference.layernorm_forward_cuda(x.double(), gamma.double(), exact, 1e-6)
    assert_rounded(out, exact, steps=steps(dtype))

    bias, out8 = view(torch.randn(c, device=device).to(dtype)), view(torch.zeros(1, tokens, c, device=device).char())
    scaling = view(torch.zeros(tokens, device=device).half())
    engine.rms_norm_general(out8, x, gamma, bias, scaling, 1e-6)
    assert_quantized(out8, scaling, layer_norm(x, gamma, bias, 1e-6), error=2e-3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_fused_add_rms_norm(c: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    """The same bits as the addition and the norm on their own, whatever the alignment and into the input, too."""
    gamma = torch.randn(c, device=device).to(dtype)
    for tokens, offset in ((1, 0), (13, 0), (13, 1)):
        x, residual = torch.randn(2, tokens * c + offset, device=device).to(dtype)[:, offset:].clone()
        x, residual = x.view(tokens, c), residual.view(tokens, c)
        if offset:  # a pointer that is no multiple of 16 bytes
            buffer = torch.empty(tokens * c + offset, dtype=dtype, device=device)
            residual = buffer[offset:].view(tokens, c).copy_(residual)
        expected_sum = residual + x
        expected = torch.full_like(x, torch.nan)
        engine.layernorm_forward_cuda(expected_sum[None], gamma, expected[None], 1e-5)
        second = residual.clone()
        out = torch.full_like(x, torch.nan)
        engine.fused_add_rms_norm(x, residual, gamma, out, 1e-5)
        assert_same_bits(residual, expected_sum)
        assert_same_bits(out, expected)
        engine.fused_add_rms_norm(x, second, gamma, x, 1e-5)
        assert_same_bits(x, expected)


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, eps: float) -> torch.Tensor:
    return torch.nn.functional.layer_norm(
        x.double(), (x.shape[-1],), weight.double(), None if bias is None else bias.double(), eps
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_layer_norm_per_token(c: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for tokens in (1, 13):
        x = (torch.randn(tokens, c, device=device) + 0.5).to(dtype)
        weight, bias = (torch.randn(2, c, device=device) + 1).to(dtype)
        out = torch.full((tokens, c), 77, dtype=torch.int8, device=device)
        scaling = torch.full((tokens,), torch.nan, device=device).half()
        engine.rms_norm_general(
            out=out, input=x, weight=weight, bias=bias, scaling=scaling, epsilon=1e-5, use_per_token_quant=True
        )
        # float32 statistics move a quotient by less than 1/500 of a step.
        assert_quantized(out, scaling, layer_norm(x, weight, bias, 1e-5), error=2e-3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", [7, 1000, 4096])
def test_layer_norm_per_tensor(c: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    x, weight = torch.randn(9, c, device=device).to(dtype), torch.randn(c, device=device).to(dtype)
    bias = torch.full((c,), 1000.0, device=device).to(dtype)  # must not be added
    out = torch.full((9, c), 77, dtype=torch.int8, device=device)
    scaling = torch.tensor([40.0], device=device).half()  # so that the largest results clamp
    engine.rms_norm_general(out, x, weight, bias, scaling, 1e-5, False)
    exact = layer_norm(x, weight, None, 1e-5) * 40
    assert c < 1000 or bool((exact.abs() > 128).any())
    assert_close(out, exact.clamp(-128, 127), absolute=0.502)
    assert float(scaling[0]) == 40.0


def test_layer_norm_of_a_shifted_row_keeps_its_digits(engine: ModuleType, device: torch.device) -> None:
    """Mean 1000, deviation 1: E[x^2] - E[x]^2 in float32 would lose the variance."""
    x = torch.randn(4, 2048, device=device) + 1000
    weight, bias = torch.ones(2048, device=device), torch.zeros(2048, device=device)
    out, scaling = torch.zeros(4, 2048, device=device).char(), torch.zeros(4, device=device).half()
    engine.rms_norm_general(out, x, weight, bias, scaling, 1e-5)
    # float32 holds the mean to 2^-14, 1/16384 of a deviation, and the deviations to 2^-24 * 1000.
    assert_quantized(out, scaling, layer_norm(x, weight, bias, 1e-5), error=0.02, absolute_scale=1e-5)


def test_a_row_of_zeros(engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(3, 96, device=device).half()
    x[1] = 2.5  # constant: zero after the mean is taken off
    weight, bias = torch.ones(96, device=device).half(), torch.zeros(96, device=device).half()
    out, scaling = torch.full((3, 96), 9, device=device).char(), torch.full((3,), torch.nan, device=device).half()
    engine.rms_norm_general(out, x, weight, bias, scaling, 1e-5)
    assert not out[1].any() and scaling.isfinite().all()
    assert_quantized(out[::2], scaling[::2], layer_norm(x, weight, bias, 1e-5)[::2], error=2e-3)


def test_layer_norm_at_model_shapes_twice(engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(4096, 4096, device=device).half()
    weight, bias = torch.randn(2, 4096, device=device).half()
    results = []
    for _ in range(2):
        out, scaling = torch.zeros(4096, 4096, device=device).char(), torch.zeros(4096, device=device).half()
        engine.rms_norm_general(out, x, weight, bias, scaling, 1e-5)
        results.append((out, scaling))
    assert_quantized(*results[0], layer_norm(x, weight, bias, 1e-5), error=2e-3)
    assert_same_bits(results[0][0], results[1][0])
    assert_same_bits(results[0][1], results[1][1])


def test_past_two_to_the_31_elements(engine: ModuleType, device: torch.device) -> None:
    tokens, c = (1 << 16) + 3, 1 << 15
    if torch.cuda.mem_get_info()[0] < 10 << 30:
        pytest.skip("needs 10 GiB of free GPU memory")
    x = torch.zeros(1, tokens, c, dtype=torch.float16, device=device)
    x[0, -2:] = torch.randn(2, c, device=device).half()
    out, gamma = torch.full_like(x, torch.nan), torch.randn(c, device=device).half()
    engine.layernorm_forward_cuda(x, gamma, out, 1e-5)
    exact = torch.empty(1, 2, c, dtype=torch.float64, device=device)
    reference.layernorm_forward_cuda(x[:, -2:].double(), gamma.double(), exact, 1e-5)
    assert_rounded(out[:, -2:], exact)
    assert not out[0, :4].any()
    del x, out
    torch.cuda.empty_cache()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

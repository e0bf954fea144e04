"""Per-token int8 quantization against the reference."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from testing.numeric import assert_quantized, assert_same_bits

pytestmark = pytest.mark.gpu

DTYPES = [torch.float16, torch.bfloat16, torch.float32]


def quantize(engine: ModuleType, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    out = torch.full(x.shape, 77, dtype=torch.int8, device=x.device)
    scale = torch.full((x.numel() // x.shape[-1],), torch.nan, device=x.device).half()
    engine.invoke_quant(out, x, scale)
    return out, scale


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("c", [1, 5, 8, 33, 127, 1000, 1152, 4096, 8191, 40000])
def test_invoke_quant(c: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for shape in ((1,), (3, 7)):
        x = (torch.randn(*shape, c, device=device) * 10).to(dtype)
        assert_quantized(*quantize(engine, x), x)


@pytest.mark.parametrize("c", [2, 40, 4096])
def test_every_row_has_its_own_scale(c: int, engine: ModuleType, device: torch.device) -> None:
    """Magnitudes over the whole range of float16, subnormal numbers included."""
    magnitude = torch.pow(2.0, torch.arange(-24, 15, device=device).float())[:, None]
    x = ((torch.rand(39, c, device=device) * 2 - 1) * magnitude).half()
    assert_quantized(*quantize(engine, x), x)


def test_rows_of_zeros(engine: ModuleType, device: torch.device) -> None:
    for dtype in DTYPES:
        x = torch.randn(5, 96, device=device).to(dtype)
        x[1], x[4] = 0.0, -0.0
        out, scale = quantize(engine, x)
        assert not out[1].any() and not out[4].any() and scale.isfinite().all()
        assert_quantized(out[::2][:2], scale[::2][:2], x[::2][:2])


def test_halves_round_to_even(engine: ModuleType, device: torch.device) -> None:
    """With a maximum of 127 the quotient is the value itself."""
    x = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5]], device=device).half()
    out, scale = quantize(engine, x)
    assert out[0].tolist() == [127, 0, 2, 2, 0, -2, -2, 126]
    assert float(scale[0]) == 1.0


def test_unaligned_rows(engine: ModuleType, device: torch.device) -> None:
    for offset in (1, 2, 5):
        buffer = torch.randn(offset + 6 * 72, device=device).half()
        x = buffer[offset:].view(6, 72)
        assert_quantized(*quantize(engine, x), x)


def test_at_model_shape_twice(engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(16384, 4096, device=device).half()
    first, second = quantize(engine, x), quantize(engine, x)
    assert_quantized(*first, x)
    assert_same_bits(first[0], second[0])
    assert_same_bits(first[1], second[1])


def test_a_bad_row_leaves_the_others_alone(engine: ModuleType, device: torch.device) -> None:
    x = torch.randn(4, 256, device=device).half()
    x[1, 7], x[2, 200] = torch.nan, torch.inf
    out, scale = quantize(engine, x)
    assert_quantized(out[::3], scale[::3], x[::3])
    assert not scale[1:3].isfinite().any()


def test_past_two_to_the_31_elements(engine: ModuleType, device: torch.device) -> None:
    if torch.cuda.mem_get_info()[0] < 8 << 30:
        pytest.skip("needs 8 GiB of free GPU memory")
    x = torch.zeros((1 << 16) + 2, 1 << 15, dtype=torch.float16, device=device)
    x[-2:] = torch.randn(2, 1 << 15, device=device).half()
    out, scale = quantize(engine, x)
    assert_quantized(out[-2:], scale[-2:], x[-2:])
    del x, out
    torch.cuda.empty_cache()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

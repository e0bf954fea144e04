"""Rotary embeddings, in place from a table and out of place from angles, against the references."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from awq_kernels import reference
from testing.numeric import UNIT, assert_close, assert_same_bits

pytestmark = pytest.mark.gpu

DTYPES = [torch.float16, torch.bfloat16, torch.float32]


def allowed(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Two float32 products and a sum round to 3 units of float32 of the pair's length, the result once to `dtype`.

    The pair is not looked up: the largest element of the head bounds its length by a factor sqrt(2).
    """
    length = x.double().abs().amax(-1, keepdim=True) * 1.5
    unit = UNIT[torch.float64] if dtype == torch.float64 else UNIT[torch.float32]
    return length * 4 * unit


def check(out: torch.Tensor, exact: torch.Tensor, x: torch.Tensor) -> None:
    unit = UNIT[out.dtype] * (1.0625 if out.dtype != torch.float64 else 2)
    assert_close(out, exact, relative=unit, absolute=allowed(x, out.dtype) + 2.0**-25 * (out.dtype == torch.float16))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64], ids=str)
@pytest.mark.parametrize(("size", "rotated"), [(64, 64), (128, 128), (80, 32), (96, 2), (256, 256), (10, 6)])
def test_neox(size: int, rotated: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    rows = 100
    angles = torch.rand(rows, rotated // 2, device=device) * 6.3
    table = torch.cat((angles.cos(), angles.sin()), dim=1).to(dtype)
    for batch, tokens, heads, kv_heads in ((1, 1, 32, 32), (2, 7, 5, 5), (3, 2, 8, 2)):
        # Out of order, repeated, first and last row.
        positions = torch.randint(0, rows, (batch, tokens), device=device)
        positions[0, 0], positions[-1, -1] = rows - 1, 0
        query = torch.randn(batch, tokens, 1, heads, size, device=device).to(dtype)
        key = torch.randn(batch, tokens, 1, kv_heads, size, device=device).to(dtype)
        exact = query.double().clone(), key.double().clone()
        reference.rotary_embedding_neox(positions, *exact, size, table.double())
        turned = query.clone(), key.clone()
        engine.rotary_embedding_neox(positions, *turned, size, table)
        for out, expected, x in zip(turned, exact, (query, key)):
            check(out, expected, x)
            assert_same_bits(out[..., rotated:], x[..., rotated:])


def test_neox_at_model_shape(engine: ModuleType, device: torch.device) -> None:
    angles = torch.rand(4096, 64, device=device) * 6.3
    table = torch.cat((angles.cos(), angles.sin()), dim=1).half()
    positions = torch.randperm(4096, device=device)[None]
    query, key = torch.randn(2, 1, 4096, 1, 32, 128, device=device).half()
    exact = query.double(), key.double()
    reference.rotary_embedding_neox(positions, *exact, 128, table.double())
    turned = query.clone(), key.clone()
    engine.rotary_embedding_neox(positions, *turned, 128, table)
    for out, expected, x in zip(turned, exact, (query, key)):
        check(out, expected, x)


def views(s: int, b: int, h: int, d: int, device: torch.device) -> dict[str, torch.Tensor]:
    """The same shape `[s, b, h, d]` over several memory layouts."""
    return {
        "contiguous": torch.randn(s, b, h, d, device=device),
        "batch first": torch.randn(b, s, h, d, device=device).transpose(0, 1),
        "slice of a projection": torch.randn(s, b, 3, h, d, device=device)[:, :, 1],
        "every second": torch.randn(s, b, h, 2 * d, device=device)[..., ::2],
        "expanded": torch.randn(s, 1, h, d, device=device).expand(s, b, h, d),
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("d", "d2"), [(128, 128), (64, 32), (80, 80), (12, 6), (7, 2)])
def test_fused_rope(
    d: int, d2: int, transposed: bool, dtype: torch.dtype, engine: ModuleType, device: torch.device
) -> None:
    # The last is many tokens for a GPU of up to 137 multiprocessors: threads take two heads, blocks several tokens.
    for s, b, h in ((1, 1, 1), (5, 3, 2), (33, 1, 4), (1100, 1, 34)):
        freqs = torch.randn(b, s, 1, d2, device=device) * 100
        for layout, values in views(s, b, h, d, device).items():
            x = values.to(dtype)
            if layout == "every second":  # a conversion would make it contiguous
                x = torch.empty(s, b, h, 2 * d, dtype=dtype, device=device)[..., ::2].copy_(values)
            exact = reference.fused_rope_with_pos_forward_func(x.double(), freqs.double(), transposed)
            out = engine.fused_rope_with_pos_forward_func(x, freqs, transposed)
            assert list(out.shape) == [s, b, h, d], layout
            assert (out.transpose(0, 1) if transposed else out).is_contiguous(), layout
            check(out, exact, x)
            assert_same_bits(out[..., d2:], x[..., d2:])


def test_fused_rope_at_large_angles(engine: ModuleType, device: torch.device) -> None:
    """Angles of long sequences: hundreds of thousands of radians, where a fast sine is wrong."""
    x = torch.randn(64, 1, 2, 64, device=device)
    freqs = (torch.rand(1, 64, 1, 64, device=device) - 0.5) * 1e6
    out = engine.fused_rope_with_pos_forward_func(x, freqs, False)
    check(out, reference.fused_rope_with_pos_forward_func(x.double(), freqs.double(), False), x)


@pytest.mark.parametrize("shape", [(4096, 1), (1, 4096)])
def test_fused_rope_at_model_shape(shape: tuple[int, int], engine: ModuleType, device: torch.device) -> None:
    s, b = shape
    x, freqs = torch.randn(s, b, 32, 128, device=device).half(), torch.randn(b, s, 1, 128, device=device) * 100
    out = engine.fused_rope_with_pos_forward_func(x, freqs, True)
    check(out, reference.fused_rope_with_pos_forward_func(x.double(), freqs.double(), True), x)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

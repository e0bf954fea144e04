"""4-bit weights: both layouts against dequantize-and-multiply in float32."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

import awq_kernels as awq
from awq_kernels import reference
from testing.numeric import UNIT, assert_close, assert_same_bits

pytestmark = pytest.mark.gpu

FP16, BF16 = torch.float16, torch.bfloat16
# Relative norm error: rounding each weight and each result once leaves about 0.4 units (2^-11, 2^-8) from either.
NORM = {FP16: 1e-3, BF16: 4e-3}
# N x K with M as users call them, and as the speed targets list them.
MODEL_SHAPES = [(28672, 4096), (4096, 14336), (6144, 4096), (4096, 4096)]


def make_weight(n: int, k: int, group_size: int, device: torch.device, dtype: torch.dtype) -> awq.QuantizedWeight:
    groups = k // group_size
    return awq.QuantizedWeight(
        q=torch.randint(0, 16, (n, k), dtype=torch.uint8, device=device),
        scales=(torch.rand(n, groups, device=device) * 0.02 + 0.002).to(dtype),
        zero_points=torch.randint(0, 16, (n, groups), dtype=torch.uint8, device=device),
        group_size=group_size,
    )


def check(out: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, norm: float | None = None) -> None:
    """`weight` float32 [N, K]. Compared in slices of rows, so that the largest case needs little memory."""
    assert out.dtype == x.dtype and out.shape == (*x.shape[:-1], weight.shape[0])
    unit = UNIT[x.dtype]
    rows, results = x.reshape(-1, x.shape[-1]), out.reshape(-1, weight.shape[0])
    squares = weight.square().t()
    for first in range(0, rows.shape[0], 2048):
        part = rows[first : first + 2048].float()
        # One rounding of the result, and one of every weight: K independent errors of at most u |x w| have a standard
        # deviation below 0.6 u sqrt(sum (x w)^2); 4 u is more than six of those. float32 sums add nothing visible.
        allowed = 4 * unit * (part.square() @ squares).sqrt()
        assert_close(
            results[first : first + 2048], part @ weight.t(), relative=1.0625 * unit, absolute=allowed, norm=norm
        )


def forward_v2(engine: ModuleType, x: torch.Tensor, packed: awq.PackedV2, gemv: bool) -> torch.Tensor:
    n, k = packed.kernel.shape[0] * 4, packed.kernel.shape[1]
    if gemv:
        rows = x.numel() // k
        return engine.gemv_forward_cuda_new(
            x, packed.kernel, packed.scales, packed.zeros, rows, n, k, packed.group_size
        )
    return engine.gemm_forward_cuda_new(x, packed.kernel, packed.scales, packed.zeros)


def forward_v1(engine: ModuleType, x: torch.Tensor, packed: awq.PackedV1, gemv: bool) -> torch.Tensor:
    if gemv:
        return engine.gemv_forward_cuda(x, packed.kernel, packed.scaling_factors, packed.zeros, packed.group_size)
    return engine.gemm_forward_cuda(x, packed.kernel, packed.scaling_factors, packed.zeros, packed.group_size, 8)


# N of 4 and 100: less than any tile, and no multiple of one; of 264, which Hopper's copy engine can address. K of one
# group, of groups with padding, of an odd number of steps of 64, of more steps than a warp has under way. The rows
# cross the kernels' numbers of tokens (1, 8, 16, 32, 64, 128 and their neighbours); bench/configurations_test.py runs
# every configuration, whatever the tables choose.
RAGGED = [(4, 128), (100, 384), (260, 1152), (264, 4480), (512, 2048)]
ROWS = [*range(1, 18), 31, 33, 63, 65, 129]


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=str)
@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize(("n", "k"), RAGGED)
def test_v2_ragged(
    n: int, k: int, group_size: int, dtype: torch.dtype, engine: ModuleType, device: torch.device
) -> None:
    packed = awq.pack_v2(make_weight(n, k, group_size, device, dtype))
    weight = awq.dequantize(packed)
    for rows in ROWS:
        x = torch.randn(rows, k, device=device).to(dtype)
        for gemv in (False, True):
            check(forward_v2(engine, x, packed, gemv), x, weight)


@pytest.mark.parametrize("group_size", [32, 64])
def test_v2_with_k_of_one_step(group_size: int, engine: ModuleType, device: torch.device) -> None:
    """K = 64, the least the layout allows; too short for G = 128."""
    packed = awq.pack_v2(make_weight(8, 64, group_size, device, FP16))
    for rows in (1, 5, 16, 70):
        x = torch.randn(rows, 64, device=device).half()
        for gemv in (False, True):
            check(forward_v2(engine, x, packed, gemv), x, awq.dequantize(packed))


@pytest.mark.parametrize("group_size", [64, 128])
@pytest.mark.parametrize(("n", "k"), RAGGED)
def test_v1_ragged(n: int, k: int, group_size: int, engine: ModuleType, device: torch.device) -> None:
    """Group counts of 1 to 32 leave padded zero points; those are poisoned with fifteens, which must not be read."""
    packed = awq.pack_v1(make_weight(n, k, group_size, device, FP16))
    weight = awq.dequantize(packed)
    groups = k // group_size
    nibbles = awq.unpack_v1(packed).zero_points
    padded = torch.full((n, packed.scaling_factors.shape[1]), 15, dtype=torch.uint8, device=device)
    padded[:, :groups] = nibbles
    packed.zeros.copy_((padded[:, ::2] | (padded[:, 1::2] << 4)).contiguous().view(torch.int32))
    packed.scaling_factors[:, groups:] = torch.nan
    for rows in ROWS:
        x = torch.randn(rows, k, device=device).half()
        for gemv in (False, True):
            check(forward_v1(engine, x, packed, gemv), x, weight)


def test_v2_padding_is_not_read(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(64, 384, 128, device, FP16))
    weight = awq.dequantize(packed)
    packed.scales[3:], packed.zeros[3:] = torch.nan, torch.nan
    for rows in (1, 4, 16, 100):
        x = torch.randn(rows, 384, device=device).half()
        for gemv in (False, True):
            check(forward_v2(engine, x, packed, gemv), x, weight)


@pytest.mark.parametrize("dtype", [FP16, BF16], ids=str)
@pytest.mark.parametrize(("n", "k"), MODEL_SHAPES)
def test_v2_at_model_shapes(n: int, k: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(n, k, 128, device, dtype))
    weight = awq.dequantize(packed)
    most = 16384 if (n, k) == (28672, 4096) and dtype == FP16 else 4096
    for rows in (1, 2, 4, 7, 8, 16, 64, 256, 1024, 4096, 16384):
        if rows <= most:
            x = torch.randn(rows, k, device=device).to(dtype)
            for gemv in (True, False) if rows <= 8 else (False,):
                check(forward_v2(engine, x, packed, gemv), x, weight, NORM[dtype])


def test_v1_at_model_shapes(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v1(make_weight(28672, 4096, 128, device, FP16))
    weight = awq.dequantize(packed)
    for rows, gemv in ((1, True), (8, True), (16, False), (32, False), (64, False), (128, False), (2048, False)):
        x = torch.randn(rows, 4096, device=device).half()
        check(forward_v1(engine, x, packed, gemv), x, weight, NORM[FP16])


def test_split_k_iters_is_only_a_hint(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v1(make_weight(256, 1024, 128, device, FP16))
    x = torch.randn(20, 1024, device=device).half()
    outs = [
        engine.gemm_forward_cuda(x, packed.kernel, packed.scaling_factors, packed.zeros, 128, hint)
        for hint in (1, 2, 7, 32)
    ]
    check(outs[0], x, awq.dequantize(packed))
    for out in outs[1:]:
        assert_same_bits(out, outs[0])


@pytest.mark.parametrize("rows", [1, 5, 16, 200])
def test_leading_dimensions_and_zero_rows(rows: int, engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(128, 256, 128, device, FP16))
    x = torch.randn(rows, 2, 256, device=device).half()
    check(forward_v2(engine, x, packed, gemv=False), x, awq.dequantize(packed))
    assert_same_bits(
        forward_v2(engine, x, packed, gemv=False).reshape(-1, 128),
        forward_v2(engine, x.reshape(-1, 256), packed, gemv=False),
    )
    empty = x[:0]
    for gemv in (False, True):
        assert forward_v2(engine, empty, packed, gemv).shape == (0, 2, 128)
        old = awq.pack_v1(make_weight(128, 256, 128, device, FP16))
        assert forward_v1(engine, empty[:, 0], old, gemv).shape == (0, 128)


def test_a_row_does_not_depend_on_its_neighbours(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(192, 512, 64, device, FP16))
    x = torch.randn(512, device=device).half()
    for rows in (7, 16, 130):
        results = []
        for place in (0, rows // 2, rows - 1):
            batch = torch.randn(rows, 512, device=device).half()
            batch[place] = x
            results.append(forward_v2(engine, batch, packed, gemv=False)[place])
        for result in results[1:]:
            assert_same_bits(result, results[0])


def test_non_finite_activations_stay_in_their_row(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(64, 256, 128, device, FP16))
    for rows in (3, 20):
        x = torch.randn(rows, 256, device=device).half()
        x[1, 17] = torch.nan
        out = forward_v2(engine, x, packed, gemv=False)
        expected = reference.gemm_forward_cuda_new(x, packed.kernel, packed.scales, packed.zeros)
        assert out[1].isnan().all() and expected[1].isnan().all()
        assert out[[0, 2]].isfinite().all()


def test_two_runs_give_the_same_bits(engine: ModuleType, device: torch.device) -> None:
    packed = awq.pack_v2(make_weight(4096, 4096, 128, device, FP16))
    for rows in (1, 7, 16, 100, 1000):
        x = torch.randn(rows, 4096, device=device).half()
        for gemv in (True, False) if rows <= 8 else (False,):
            first = forward_v2(engine, x, packed, gemv)
            for _ in range(3):
                assert_same_bits(first, forward_v2(engine, x, packed, gemv))


def test_result_past_two_to_the_31_elements(engine: ModuleType, device: torch.device) -> None:
    rows, n, k = 75_000, 28_672, 128  # 2.15e9 results
    if torch.cuda.mem_get_info()[0] < 12 << 30:
        pytest.skip("needs 12 GiB of free GPU memory")
    packed = awq.pack_v2(make_weight(n, k, 128, device, FP16))
    x = torch.randn(rows, k, device=device).half()
    out = forward_v2(engine, x, packed, gemv=False)
    weight = awq.dequantize(packed)
    for part in (slice(0, 64), slice(74_800, 75_000)):  # element 2^31 lies in row 74899
        check(out[part], x[part], weight)
    del out
    torch.cuda.empty_cache()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

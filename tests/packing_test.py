"""Packing, against a statement of both layouts one element at a time, and its inverses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import awq_kernels as awq
from testing.numeric import assert_close

# Order of 32 consecutive values of K after the first step of layout v2, as the contract lists it.
RUN_ORDER = [0, 1, 8, 9, 16, 17, 24, 25, 2, 3, 10, 11, 18, 19, 26, 27]
RUN_ORDER += [4, 5, 12, 13, 20, 21, 28, 29, 6, 7, 14, 15, 22, 23, 30, 31]
EIGHT_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # even positions first, then odd


def random_weight(n: int, k: int, group_size: int, dtype: torch.dtype = torch.float16) -> awq.QuantizedWeight:
    groups = k // group_size
    return awq.QuantizedWeight(
        q=torch.randint(0, 16, (n, k), dtype=torch.uint8),
        scales=(torch.rand(n, groups) * 0.02 + 0.001).to(dtype),
        zero_points=torch.randint(0, 16, (n, groups), dtype=torch.uint8),
        group_size=group_size,
    )


def signed(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


def slow_kernel_v2(q: list[list[int]]) -> list[list[int]]:
    n, k = len(q), len(q[0])
    reordered = []
    for row in q:
        first = [row[run + position] for run in range(0, k, 32) for position in RUN_ORDER]
        reordered.append([first[run + position] for run in range(0, k, 8) for position in EIGHT_ORDER])
    words = []
    for quad in range(0, n, 4):
        stream = [reordered[quad + i][step + j] for step in range(0, k, 64) for i in range(4) for j in range(64)]
        words.append([signed(sum(stream[at + i] << (4 * i) for i in range(4)), 16) for at in range(0, len(stream), 4)])
    return words


def slow_nibbles_v1(values: list[list[int]]) -> list[list[int]]:
    return [
        [signed(sum(row[8 * j + i] << (4 * i) for i in range(8)), 32) for j in range(len(row) // 8)] for row in values
    ]


def slow_padding(groups: int, group_size: int) -> int:
    return math.ceil(groups / {128: 8, 64: 16, 32: 32}[group_size]) * {128: 8, 64: 16, 32: 32}[group_size]


@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize(("n", "k"), [(4, 128), (12, 384), (64, 1152)])
def test_layout_v2_one_element_at_a_time(n: int, k: int, group_size: int) -> None:
    weight = random_weight(n, k, group_size)
    packed = awq.pack_v2(weight)
    assert packed.kernel.dtype == torch.int16 and list(packed.kernel.shape) == [n // 4, k]
    assert packed.kernel.tolist() == slow_kernel_v2(weight.q.tolist())
    rows = slow_padding(k // group_size, group_size)
    assert list(packed.scales.shape) == list(packed.zeros.shape) == [rows, n]
    for group in range(rows):
        for channel in range(n):
            if group < k // group_size:
                scale = float(weight.scales[channel, group])
                offset = torch.tensor(-scale * int(weight.zero_points[channel, group])).half()
                assert float(packed.scales[group, channel]) == scale
                assert packed.zeros[group, channel] == offset
            else:
                assert packed.scales[group, channel] == 0 and packed.zeros[group, channel] == 0


@pytest.mark.parametrize("group_size", [64, 128])
@pytest.mark.parametrize(("n", "k"), [(1, 128), (6, 640), (16, 1152)])
def test_layout_v1_one_element_at_a_time(n: int, k: int, group_size: int) -> None:
    weight = random_weight(n, k, group_size)
    packed = awq.pack_v1(weight)
    width, groups = slow_padding(k // group_size, group_size), k // group_size
    assert packed.kernel.dtype == packed.zeros.dtype == torch.int32
    assert packed.kernel.tolist() == slow_nibbles_v1(weight.q.tolist())
    padded = [row + [0] * (width - groups) for row in weight.zero_points.tolist()]
    assert packed.zeros.tolist() == slow_nibbles_v1(padded)
    assert list(packed.scaling_factors.shape) == [n, width]
    assert torch.equal(packed.scaling_factors[:, :groups], weight.scales)
    assert not packed.scaling_factors[:, groups:].any()


def test_a_single_one_lands_where_the_layout_says() -> None:
    """Row 5, column 64 + 9: second quad, second step of 64, second row of the quad, run position 3, after 0 and 2."""
    weight = random_weight(8, 128, 128)
    weight.q.zero_()
    weight.q[5, 64 + 9] = 1
    kernel = awq.pack_v2(weight).kernel
    assert kernel.nonzero().tolist() == [[1, (64 * 4 + 64) // 4 + 1]]
    # Position 3 of the run is odd, the second odd one: index 4 + 1 of its eight, nibble 1 of the second word.
    assert int(kernel[1, 81]) == 1 << 4


@st.composite
def weights(draw: Any, group_sizes: tuple[int, ...], rows: int) -> awq.QuantizedWeight:
    group_size = draw(st.sampled_from(group_sizes))
    unit = max(group_size, 64)
    n, k = rows * draw(st.integers(1, 5)), unit * draw(st.integers(1, 9))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from([torch.float16, torch.bfloat16])) if rows == 4 else torch.float16
    return random_weight(n, k, group_size, dtype)


def assert_equal(actual: awq.QuantizedWeight, expected: awq.QuantizedWeight) -> None:
    assert actual.group_size == expected.group_size
    for name in ("q", "scales", "zero_points"):
        assert torch.equal(getattr(actual, name), getattr(expected, name)), name
        assert getattr(actual, name).dtype == getattr(expected, name).dtype, name


@settings(deadline=None, max_examples=60, derandomize=True)
@given(weights((32, 64, 128), rows=4))
def test_unpack_v2_is_the_inverse(weight: awq.QuantizedWeight) -> None:
    assert_equal(awq.unpack_v2(awq.pack_v2(weight)), weight)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(weights((64, 128), rows=1))
def test_unpack_v1_is_the_inverse(weight: awq.QuantizedWeight) -> None:
    assert_equal(awq.unpack_v1(awq.pack_v1(weight)), weight)


@pytest.mark.parametrize("group_size", [64, 128])
def test_v1_to_v2_keeps_codes_and_scales(group_size: int) -> None:
    weight = random_weight(24, 640, group_size)
    packed = awq.pack_v1(weight)
    converted = awq.v1_to_v2(packed)
    expected = awq.pack_v2(weight)
    for name in ("kernel", "scales", "zeros"):
        assert torch.equal(getattr(converted, name), getattr(expected, name)), name
    # Both stand for the same matrix but for the rounding of -scale * zero_point to float16.
    offset = (weight.scales.float() * weight.zero_points.float()).repeat_interleave(group_size, dim=1)
    assert_close(awq.dequantize(converted), awq.dequantize(packed), absolute=offset * 2.0**-11 + 2.0**-24)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("group_size", [32, 64, 128])
def test_quantize_stays_within_half_a_step(dtype: torch.dtype, group_size: int) -> None:
    weight = torch.randn(32, 512).to(dtype)
    weight[0] = 0
    weight[1] = weight[1].abs() + 1  # all positive: zero must still be representable
    weight[2] = -weight[2].abs() - 1
    weight[3] *= 1e-6  # scales near float16's smallest numbers
    quantized = awq.quantize(weight, group_size)
    assert quantized.scales.dtype == (torch.float16 if dtype == torch.float32 else dtype)
    step = quantized.scales.float().repeat_interleave(group_size, dim=1)
    # Half a step for the code, half for the zero point; a scale rounded down by 2^-9 clips 15 codes by that much. Where
    # the scale is subnormal in float16 (row 3) its own rounding dominates.
    bound = step * (1 + 15 * 2.0**-8) + 16 * 2.0**-24
    bound[3] = 20 * 2.0**-24 if quantized.scales.dtype == torch.float16 else bound[3]
    bound[0] = 0
    assert_close(awq.dequantize(quantized), weight.float(), absolute=bound)
    assert_close(awq.dequantize(awq.pack_v2(quantized)), awq.dequantize(quantized), absolute=16 * step * 2.0**-8)


def test_quantize_is_exact_on_its_own_grid() -> None:
    weight = awq.QuantizedWeight(
        q=torch.randint(0, 16, (8, 256), dtype=torch.uint8),
        scales=torch.full((8, 2), 0.25, dtype=torch.float16),
        zero_points=torch.full((8, 2), 7, dtype=torch.uint8),
        group_size=128,
    )
    weight.q[:, ::128], weight.q[:, 1::128] = 0, 15  # every group spans the whole range
    assert_equal(awq.quantize(awq.dequantize(weight, torch.float16)), weight)


def changed(weight: Any, **fields: Any) -> Any:
    return dataclasses.replace(weight, **fields)


ERRORS = [
    (lambda w: awq.quantize([1.0]), TypeError, "quantize: weight must be a torch.Tensor, got list"),
    (lambda w: awq.quantize(torch.zeros(4)), ValueError, "weight must have 2 dimensions, got shape \\[4\\]"),
    (lambda w: awq.quantize(torch.zeros(4, 128, dtype=torch.int8)), ValueError, "floating point, got int8"),
    (lambda w: awq.quantize(torch.zeros(4, 100)), ValueError, "multiple of group_size 128, got K = 100"),
    (lambda w: awq.quantize(torch.zeros(4, 128), 48), ValueError, "group_size must be one of 32, 64, 128, got 48"),
    (lambda w: awq.quantize(torch.zeros(4, 128), 128.0), TypeError, "group_size must be an int, got float"),
    (lambda w: awq.quantize(torch.full((4, 128), torch.inf)), ValueError, "weight must be finite"),
    (lambda w: awq.quantize(torch.full((4, 128), 3e6)), ValueError, "weight must span at most 15"),
    (lambda w: awq.quantize(torch.zeros(4, 128), dtype=torch.float32), ValueError, "dtype must be float16 or bf"),
    (lambda w: awq.pack_v2("w"), TypeError, "pack_v2: weight must be a QuantizedWeight, got str"),
    (lambda w: awq.pack_v2(changed(w, q=w.q + 1)), ValueError, "pack_v2: q must be in 0..15, got 1..16"),
    (lambda w: awq.pack_v2(changed(w, zero_points=w.zero_points + 16)), ValueError, "zero_points must be in 0..15"),
    (lambda w: awq.pack_v2(changed(w, scales=w.scales[:, :1])), ValueError, "scales must have shape \\[8, 2\\]"),
    (lambda w: awq.pack_v2(changed(w, scales=w.scales.float())), ValueError, "scales must be float16 or bfloat16"),
    (lambda w: awq.pack_v2(changed(w, group_size=96)), ValueError, "group_size must be one of"),
    (lambda w: awq.pack_v2(random_weight(6, 128, 128)), ValueError, "N must be a multiple of 4, got N = 6"),
    (lambda w: awq.pack_v2(random_weight(4, 96, 32)), ValueError, "K must be a multiple of 64, got K = 96"),
    (lambda w: awq.pack_v2(changed(w, scales=w.scales * 0 + 6e4)), ValueError, "zero_points must fit float16"),
    (lambda w: awq.pack_v1(random_weight(4, 128, 32)), ValueError, "group_size must be one of 64, 128, got 32"),
    (lambda w: awq.pack_v1(random_weight(4, 128, 128, torch.bfloat16)), ValueError, "scales must be float16, got bf"),
    (lambda w: awq.unpack_v1(awq.pack_v2(w)), TypeError, "packed must be a PackedV1, got PackedV2"),
    (lambda w: awq.unpack_v2(awq.pack_v1(w)), TypeError, "packed must be a PackedV2, got PackedV1"),
    (
        lambda w: awq.unpack_v1(changed(awq.pack_v1(w), group_size=64)),
        ValueError,
        "factors must have shape \\[8, 16\\]",
    ),
    (
        lambda w: awq.unpack_v2(changed(awq.pack_v2(w), kernel=awq.pack_v2(w).kernel.int())),
        ValueError,
        "kernel must be int16, got int32",
    ),
    (
        lambda w: awq.unpack_v2(changed(awq.pack_v2(w), zeros=awq.pack_v2(w).scales)),
        ValueError,
        "zeros must be -scale \\* zero_point",
    ),
    (lambda w: awq.dequantize(w.q), TypeError, "dequantize: weight must be a QuantizedWeight"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors_name_what_is_wrong(call: Any, error: type[Exception], message: str) -> None:
    weight = random_weight(8, 256, 128)
    weight.q[0, :2] = torch.tensor([0, 15], dtype=torch.uint8)
    weight.zero_points.fill_(15)
    with pytest.raises(error, match=message):
        call(weight)


def test_a_layer_s_weight_is_packed_without_its_autograd_graph() -> None:
    layer = torch.nn.Linear(256, 8, dtype=torch.float16)
    packed = awq.pack_v2(awq.quantize(layer.weight))
    assert not packed.scales.requires_grad and not packed.zeros.requires_grad


@pytest.mark.gpu
def test_packing_on_the_gpu_gives_the_same_tensors(device: torch.device) -> None:
    weight = torch.randn(64, 512, dtype=torch.float16)
    here, there = awq.pack_v2(awq.quantize(weight)), awq.pack_v2(awq.quantize(weight.to(device)))
    for name in ("kernel", "scales", "zeros"):
        assert torch.equal(getattr(here, name), getattr(there, name).cpu()), name


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

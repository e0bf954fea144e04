"""Quantizes weights to 4 bits and packs them into the two layouts that `awq_inference_engine` reads.

    fp16 weight [N, K] --quantize--> QuantizedWeight --pack_v2--> PackedV2 (gemv/gemm_forward_cuda_new)
                                                     --pack_v1--> PackedV1 (gemv/gemm_forward_cuda)

N counts output channels, K input channels; each run of G (`group_size`) values along K shares one scale and one zero
point: `w[n, k] = scales[n, k // G] * (q[n, k] - zero_points[n, k // G])`. Every function works on the device of its
arguments and leaves them unchanged.

The three classes compare by identity. `torch.save` writes them; `torch.load(..., weights_only=True)` reads them back
once this module is imported (PyTorch 2.4 and newer).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = [
    "PackedV1",
    "PackedV2",
    "QuantizedWeight",
    "dequantize",
    "pack_v1",
    "pack_v2",
    "padded_groups",
    "quantize",
    "shard",
    "unpack_v1",
    "unpack_v2",
    "v1_to_v2",
]

MAX_CODE = 15  # the largest 4-bit value
GROUP_SIZES_V1 = (64, 128)
GROUP_SIZES_V2 = (32, 64, 128)
ROW_INTERLEAVE = 4  # layout v2: rows of N that share one row of the kernel tensor
K_STEP = 64  # layout v2: values of K that one row contributes before the next row's turn

_SCALE_DTYPES = (torch.float16, torch.bfloat16)
_CODE_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight matrix in 4-bit codes, before any packing.

    Attributes:
        q: uint8 [N, K], values 0..15.
        scales: float16 or bfloat16 [N, K // group_size].
        zero_points: uint8 [N, K // group_size], values 0..15.
        group_size: values along K that share a scale.
    """

    q: torch.Tensor
    scales: torch.Tensor
    zero_points: torch.Tensor
    group_size: int


@dataclass(frozen=True, eq=False)
class PackedV1:
    """Layout v1, as `gemv_forward_cuda` and `gemm_forward_cuda` take it.

    Attributes:
        kernel: int32 [N, K // 8]; nibble i of word j is q[n, 8j + i].
        scaling_factors: float16 [N, padded_groups(K, group_size)].
        zeros: int32 [N, padded_groups(K, group_size) // 8]; nibble i of word j is the zero point of group 8j + i.
        group_size: 64 or 128.
    """

    kernel: torch.Tensor
    scaling_factors: torch.Tensor
    zeros: torch.Tensor
    group_size: int


@dataclass(frozen=True, eq=False)
class PackedV2:
    """Layout v2, as `gemv_forward_cuda_new` and `gemm_forward_cuda_new` take it.

    Attributes:
        kernel: int16 [N // 4, K]; four rows interleaved in steps of 64 values, see `pack_v2`.
        scales: float16 or bfloat16 [padded_groups(K, group_size), N].
        zeros: dtype and shape of `scales`; `-scale * zero_point`, so that a weight is `scale * q + zero`.
        group_size: 32, 64 or 128.
    """

    kernel: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    group_size: int


if hasattr(torch.serialization, "add_safe_globals"):
    torch.serialization.add_safe_globals([QuantizedWeight, PackedV1, PackedV2])


def padded_groups(k: int, group_size: int) -> int:
    """Groups along K that scales and zero points are stored for: `k // group_size`, rounded up.

    The step is 8 groups for a group size of 128 and more, 16 for 64, 32 for 32.
    """
    step = 8 if group_size >= 128 else 8 * (128 // group_size)
    groups = k // group_size
    return (groups + step - 1) // step * step


@torch.no_grad()
def quantize(weight: torch.Tensor, group_size: int = 128, dtype: torch.dtype | None = None) -> QuantizedWeight:
    """Quantizes to 4 bits by the minimum and maximum of each group (asymmetric, zero is always representable).

    Args:
        weight: floating point [N, K], finite; K a multiple of `group_size`.
        group_size: 32, 64 or 128.
        dtype: of the scales, float16 or bfloat16; the weight's own if it is one of them, else float16.

    Returns:
        The codes; each dequantized value lies within about half a scale of the weight.

    Raises:
        TypeError: an argument is of the wrong Python type.
        ValueError: wrong dtype, rank or size, a weight that is not finite, or a scale too large for `dtype`.
    """
    _require_tensor("quantize", "weight", weight, 2)
    if not weight.is_floating_point():
        raise ValueError(f"quantize: weight must be floating point, got {_name(weight.dtype)}")
    n, k = weight.shape
    _require_group_size("quantize", group_size, GROUP_SIZES_V2, k)
    if dtype is None:
        dtype = weight.dtype if weight.dtype in _SCALE_DTYPES else torch.float16
    if dtype not in _SCALE_DTYPES:
        raise ValueError(f"quantize: dtype must be float16 or bfloat16, got {_name(dtype)}")

    groups = weight.float().reshape(n, k // group_size, group_size)
    if not bool(torch.isfinite(groups).all()):
        raise ValueError("quantize: weight must be finite, got inf or nan")
    # Zero belongs to every range: the zero point then fits into 4 bits, which layout v1 stores it in.
    low = groups.amin(-1).clamp(max=0)
    high = groups.amax(-1).clamp(min=0)
    # Codes are computed from the scale as it will be stored, so that its rounding is not an error of its own. Where it
    # rounds to zero, so do all weights of the group: any other scale with codes 0 then says the same.
    scales = ((high - low) / MAX_CODE).to(dtype)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    if not bool(torch.isfinite(scales).all()):
        span = float((high - low).max())
        raise ValueError(f"quantize: weight must span at most 15 times the largest {_name(dtype)}, got {span:g}")
    step = scales.float()
    zero_points = torch.round(-low / step).clamp(0, MAX_CODE)
    codes = torch.round(groups / step[..., None]) + zero_points[..., None]
    q = codes.clamp(0, MAX_CODE).to(torch.uint8).reshape(n, k)
    return QuantizedWeight(q, scales, zero_points.to(torch.uint8), group_size)


@torch.no_grad()
def dequantize(weight: QuantizedWeight | PackedV1 | PackedV2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The weight matrix that the codes stand for.

    Computed in float32 (`scales * q + zeros` for layout v2, exactly as its tensors say), rounded once to `dtype`.

    Args:
        weight: in any of the three forms.
        dtype: of the result.

    Returns:
        `dtype` [N, K].

    Raises:
        TypeError: `weight` is of another type.
        ValueError: tensors that do not fit together.
    """
    if isinstance(weight, PackedV2):
        n, k = _check_v2("dequantize", weight)
        groups = k // weight.group_size
        codes = _unpack_kernel_v2(weight.kernel).float().reshape(n, groups, weight.group_size)
        scales = weight.scales[:groups].t().float()
        offsets = weight.zeros[:groups].t().float()
        return (codes * scales[..., None] + offsets[..., None]).reshape(n, k).to(dtype)
    if isinstance(weight, PackedV1):
        weight = unpack_v1(weight)
    if not isinstance(weight, QuantizedWeight):
        raise TypeError(
            f"dequantize: weight must be a QuantizedWeight, PackedV1 or PackedV2, got {type(weight).__name__}"
        )
    n, k = _check_quantized("dequantize", weight, GROUP_SIZES_V2)
    codes = weight.q.float().reshape(n, k // weight.group_size, weight.group_size)
    centred = codes - weight.zero_points.float()[..., None]
    return (centred * weight.scales.float()[..., None]).reshape(n, k).to(dtype)


@torch.no_grad()
def pack_v1(weight: QuantizedWeight) -> PackedV1:
    """Packs into layout v1.

    Args:
        weight: scales in float16, `group_size` 64 or 128, K a multiple of it.

    Returns:
        New tensors on the weight's device; padding groups hold zeros.

    Raises:
        TypeError: `weight` is of another type.
        ValueError: its tensors do not fit together or cannot be stored in this layout.
    """
    n, k = _check_quantized("pack_v1", weight, GROUP_SIZES_V1)
    if weight.scales.dtype != torch.float16:
        raise ValueError(f"pack_v1: scales must be float16, got {_name(weight.scales.dtype)}")
    groups, width = k // weight.group_size, padded_groups(k, weight.group_size)
    scaling_factors = weight.scales.new_zeros(n, width)
    scaling_factors[:, :groups] = weight.scales
    zero_points = torch.zeros(n, width, dtype=torch.uint8, device=weight.q.device)
    zero_points[:, :groups] = weight.zero_points.to(torch.uint8)
    kernel = _pack_nibbles(weight.q.to(torch.uint8), torch.int32)
    return PackedV1(kernel, scaling_factors, _pack_nibbles(zero_points, torch.int32), weight.group_size)


@torch.no_grad()
def unpack_v1(packed: PackedV1) -> QuantizedWeight:
    """The inverse of `pack_v1`; padding groups are dropped.

    Raises:
        TypeError: `packed` is of another type.
        ValueError: its tensors do not fit together.
    """
    if not isinstance(packed, PackedV1):
        raise TypeError(f"unpack_v1: packed must be a PackedV1, got {type(packed).__name__}")
    _require_tensor("unpack_v1", "kernel", packed.kernel, 2, (torch.int32,))
    n, k = packed.kernel.shape[0], packed.kernel.shape[1] * 8
    _require_group_size("unpack_v1", packed.group_size, GROUP_SIZES_V1, k)
    groups, width = k // packed.group_size, padded_groups(k, packed.group_size)
    _require_tensor("unpack_v1", "scaling_factors", packed.scaling_factors, 2, (torch.float16,), (n, width))
    _require_tensor("unpack_v1", "zeros", packed.zeros, 2, (torch.int32,), (n, width // 8))
    return QuantizedWeight(
        q=_unpack_nibbles(packed.kernel),
        scales=packed.scaling_factors[:, :groups].clone(),
        zero_points=_unpack_nibbles(packed.zeros)[:, :groups].clone(),
        group_size=packed.group_size,
    )


@torch.no_grad()
def pack_v2(weight: QuantizedWeight) -> PackedV2:
    """Packs into layout v2.

    One row of the kernel tensor holds four rows of N, 64 values of each in turn, four values to an int16:

        kernel[r] = row 4r, k 0..63 | row 4r+1, k 0..63 | row 4r+2 | row 4r+3 | row 4r, k 64..127 | ...

    Within a row, each run of 32 values is reordered so that one 32-bit word gives a thread of the GEMM its eight
    values with even and odd positions in alternate halves.

    Args:
        weight: N a multiple of 4, K of 64 and of `group_size`; the scales' dtype becomes that of the packed tensors.

    Returns:
        New tensors on the weight's device; padding rows hold zeros.

    Raises:
        TypeError: `weight` is of another type.
        ValueError: its tensors do not fit together, or `scale * zero_point` overflows the scales' dtype.
    """
    n, k = _check_quantized("pack_v2", weight, GROUP_SIZES_V2)
    _require_interleavable("pack_v2", n, k)
    return _pack_v2(weight)


@torch.no_grad()
def unpack_v2(packed: PackedV2) -> QuantizedWeight:
    """The inverse of `pack_v2`; padding rows are dropped.

    Layout v2 stores no zero points but `-scale * zero_point`; the nearest integer to its quotient is returned. That is
    exact for what `pack_v2` made. Tensors from elsewhere may hold other offsets: `dequantize` takes those as they are.

    Raises:
        TypeError: `packed` is of another type.
        ValueError: its tensors do not fit together, or an offset is no zero point in 0..15.
    """
    if not isinstance(packed, PackedV2):
        raise TypeError(f"unpack_v2: packed must be a PackedV2, got {type(packed).__name__}")
    _, k = _check_v2("unpack_v2", packed)
    groups = k // packed.group_size
    scales = packed.scales[:groups].t().contiguous()
    offsets = packed.zeros[:groups].t().float()
    # A scale of zero makes every weight of its group the offset itself; there is no zero point to find.
    divisor = torch.where(scales == 0, torch.ones_like(scales), scales).float()
    zero_points = torch.round(-offsets / divisor)
    if not bool(((zero_points >= 0) & (zero_points <= MAX_CODE)).all()):
        raise ValueError("unpack_v2: zeros must be -scale * zero_point with zero points in 0..15, got other values")
    return QuantizedWeight(_unpack_kernel_v2(packed.kernel), scales, zero_points.to(torch.uint8), packed.group_size)


@torch.no_grad()
def v1_to_v2(packed: PackedV1) -> PackedV2:
    """Converts layout v1 to layout v2: the same codes and scales, zero points turned into offsets.

    Raises:
        TypeError: `packed` is of another type.
        ValueError: its tensors do not fit together, or N is no multiple of 4.
    """
    return pack_v2(unpack_v1(packed))


@torch.no_grad()
def shard(packed: PackedV2, dim: int, rank: int, world: int) -> PackedV2:
    """One of `world` equal parts of a weight, for tensor parallelism.

    Args:
        packed: the whole weight [N, K].
        dim: 0 cuts output channels (`w[rank * N / world : (rank + 1) * N / world]`), 1 cuts input channels.
        rank: which part, 0 to `world - 1`.
        world: the number of parts.

    Returns:
        New tensors on the weight's device. The parts of dimension 0 give parts of the product, which are to be
        concatenated; those of dimension 1 take parts of the input and give summands of the product.

    Raises:
        TypeError: an argument is of the wrong Python type.
        ValueError: the tensors do not fit together, `dim` or `rank` is out of range, or a cut would go through a
            quad of rows (N / world no multiple of 4), a step of 64 along K or a group.
    """
    if not isinstance(packed, PackedV2):
        raise TypeError(f"shard: packed must be a PackedV2, got {type(packed).__name__}")
    for name, value in (("dim", dim), ("rank", rank), ("world", world)):
        if not isinstance(value, int):
            raise TypeError(f"shard: {name} must be an int, got {type(value).__name__}")
    n, k = _check_v2("shard", packed)
    if dim not in (0, 1):
        raise ValueError(f"shard: dim must be 0 (N) or 1 (K), got {dim}")
    if world < 1 or not 0 <= rank < world:
        raise ValueError(f"shard: rank must be in 0..world - 1 and world positive, got rank {rank} of {world}")
    name, size, unit = ("N", n, ROW_INTERLEAVE) if dim == 0 else ("K", k, max(K_STEP, packed.group_size))
    if size % (world * unit) != 0:
        raise ValueError(
            f"shard: {name} / world must be a multiple of {unit}, got {name} = {size} and world = {world}"
            + ("" if dim == 0 else f" (group_size {packed.group_size}, {K_STEP} values of K per step)")
        )
    part = size // world
    first, last = rank * part, (rank + 1) * part
    if dim == 0:
        kernel = packed.kernel[first // ROW_INTERLEAVE : last // ROW_INTERLEAVE]
        scales, zeros = packed.scales[:, first:last], packed.zeros[:, first:last]
        return PackedV2(kernel.clone(), scales.contiguous(), zeros.contiguous(), packed.group_size)
    groups = slice(first // packed.group_size, last // packed.group_size)
    padded = padded_groups(part, packed.group_size)
    scales, zeros = packed.scales.new_zeros(padded, n), packed.zeros.new_zeros(padded, n)
    scales[: part // packed.group_size] = packed.scales[groups]
    zeros[: part // packed.group_size] = packed.zeros[groups]
    return PackedV2(packed.kernel[:, first:last].contiguous(), scales, zeros, packed.group_size)


def _pack_nibbles(codes: torch.Tensor, word: torch.dtype) -> torch.Tensor:
    """uint8 [..., n] of 0..15 -> words, the first in the lowest nibble (hosts and GPUs are little-endian)."""
    pairs = codes.reshape(*codes.shape[:-1], -1, 2)
    return (pairs[..., 0] | (pairs[..., 1] << 4)).contiguous().view(word)


def _unpack_nibbles(words: torch.Tensor) -> torch.Tensor:
    """The inverse of `_pack_nibbles`."""
    # Flat, because a contiguous tensor with a dimension of one element may have any stride there, and view wants 1.
    octets = words.contiguous().flatten().view(torch.uint8)
    codes = torch.stack((octets & MAX_CODE, octets >> 4), dim=-1)
    return codes.reshape(*words.shape[:-1], words.shape[-1] * words.itemsize * 2)


def _pack_v2(weight: QuantizedWeight) -> PackedV2:
    """`pack_v2` of what is known to be codes; reading all of them to check takes a quarter of the time."""
    n, k = weight.q.shape
    groups, rows = k // weight.group_size, padded_groups(k, weight.group_size)
    offsets = (-weight.scales.float() * weight.zero_points.float()).to(weight.scales.dtype)
    if not bool(torch.isfinite(offsets).all()):
        raise ValueError(f"pack_v2: scales * zero_points must fit {_name(offsets.dtype)}, got inf or nan")
    scales = weight.scales.new_zeros(rows, n)
    scales[:groups] = weight.scales.t()
    zeros = torch.zeros_like(scales)
    zeros[:groups] = offsets.t()
    return PackedV2(_pack_kernel_v2(weight.q.to(torch.uint8)), scales, zeros, weight.group_size)


def _pack_kernel_v2(q: torch.Tensor) -> torch.Tensor:
    """uint8 [N, K] -> int16 [N // 4, K]."""
    n, k = q.shape
    # Within 32 values of K, position 8a + 2b + c holds value 8b + 2a + c (a, b in 0..3, c in 0..1) ...
    runs = q.reshape(n, k // 32, 4, 4, 2).transpose(2, 3)
    # ... and within 8 of those, the even positions come first.
    runs = runs.transpose(3, 4).reshape(n, k)
    rows = runs.reshape(n // ROW_INTERLEAVE, ROW_INTERLEAVE, k // K_STEP, K_STEP).transpose(1, 2)
    return _pack_nibbles(rows.reshape(n // ROW_INTERLEAVE, ROW_INTERLEAVE * k), torch.int16)


def _unpack_kernel_v2(kernel: torch.Tensor) -> torch.Tensor:
    """The inverse of `_pack_kernel_v2`."""
    n, k = kernel.shape[0] * ROW_INTERLEAVE, kernel.shape[1]
    rows = _unpack_nibbles(kernel).reshape(n // ROW_INTERLEAVE, k // K_STEP, ROW_INTERLEAVE, K_STEP)
    runs = rows.transpose(1, 2).reshape(n, k // 32, 4, 2, 4)
    return runs.transpose(3, 4).transpose(2, 3).reshape(n, k)


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _require_tensor(
    function: str,
    argument: str,
    value: object,
    rank: int,
    dtypes: tuple[torch.dtype, ...] = (),
    shape: tuple[int, ...] | None = None,
) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{function}: {argument} must be a torch.Tensor, got {type(value).__name__}")
    if dtypes and value.dtype not in dtypes:
        expected = " or ".join(_name(dtype) for dtype in dtypes)
        raise ValueError(f"{function}: {argument} must be {expected}, got {_name(value.dtype)}")
    if value.dim() != rank:
        raise ValueError(f"{function}: {argument} must have {rank} dimensions, got shape {list(value.shape)}")
    if shape is not None and tuple(value.shape) != shape:
        raise ValueError(f"{function}: {argument} must have shape {list(shape)}, got {list(value.shape)}")


def _require_group_size(function: str, group_size: int, allowed: tuple[int, ...], k: int) -> None:
    if not isinstance(group_size, int):
        raise TypeError(f"{function}: group_size must be an int, got {type(group_size).__name__}")
    if group_size not in allowed:
        raise ValueError(f"{function}: group_size must be one of {', '.join(map(str, allowed))}, got {group_size}")
    if k == 0 or k % group_size != 0:
        raise ValueError(f"{function}: K must be a positive multiple of group_size {group_size}, got K = {k}")


def _require_interleavable(function: str, n: int, k: int) -> None:
    if n % ROW_INTERLEAVE != 0:
        raise ValueError(f"{function}: N must be a multiple of {ROW_INTERLEAVE}, got N = {n}")
    if k % K_STEP != 0:
        raise ValueError(f"{function}: K must be a multiple of {K_STEP}, got K = {k}")


def _require_codes(function: str, argument: str, value: torch.Tensor) -> None:
    if value.numel() != 0 and not bool(((value >= 0) & (value <= MAX_CODE)).all()):
        raise ValueError(f"{function}: {argument} must be in 0..15, got {int(value.min())}..{int(value.max())}")


def _check_quantized(function: str, weight: QuantizedWeight, group_sizes: tuple[int, ...]) -> tuple[int, int]:
    if not isinstance(weight, QuantizedWeight):
        raise TypeError(f"{function}: weight must be a QuantizedWeight, got {type(weight).__name__}")
    _require_tensor(function, "q", weight.q, 2, _CODE_DTYPES)
    n, k = int(weight.q.shape[0]), int(weight.q.shape[1])
    _require_group_size(function, weight.group_size, group_sizes, k)
    shape = (n, k // weight.group_size)
    _require_tensor(function, "scales", weight.scales, 2, _SCALE_DTYPES, shape)
    _require_tensor(function, "zero_points", weight.zero_points, 2, _CODE_DTYPES, shape)
    _require_codes(function, "q", weight.q)
    _require_codes(function, "zero_points", weight.zero_points)
    return n, k


def _check_v2(function: str, packed: PackedV2) -> tuple[int, int]:
    _require_tensor(function, "kernel", packed.kernel, 2, (torch.int16,))
    n, k = packed.kernel.shape[0] * ROW_INTERLEAVE, int(packed.kernel.shape[1])
    _require_group_size(function, packed.group_size, GROUP_SIZES_V2, k)
    _require_interleavable(function, n, k)
    shape = (padded_groups(k, packed.group_size), n)
    _require_tensor(function, "scales", packed.scales, 2, _SCALE_DTYPES, shape)
    _require_tensor(function, "zeros", packed.zeros, 2, (packed.scales.dtype,), shape)
    return n, k

"""How the formats of checkpoints store a 4-bit linear layer, and how that becomes layout v2.

A `Format` names the tensors of a layer by their suffixes, checks what headers say of them (types, shapes, group size)
before any is read, and turns them into a `QuantizedWeight`, or into a `PackedV2` where they are one already.

Sources: AutoAWQ's `WQLinear_GEMM`, `WQLinear_GEMV` and `WQLinear_GEMVFast`; the GPTQ format of AutoGPTQ and GPTQModel;
compressed-tensors' `pack_to_int32`; ggml's `block_q4_0` and `block_q4_1`. In all of them the first of eight values in
an int32 is in its lowest four bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from awq_kernels import packing
from awq_kernels._files import CheckpointError, Entry, fail
from awq_kernels.packing import GROUP_SIZES_V2, K_STEP, ROW_INTERLEAVE, PackedV2, QuantizedWeight, padded_groups

Entries = dict[str, Entry]  # by suffix
Tensors = dict[str, Tensor]

_SCALES = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Linear:
    """A 4-bit linear layer of a checkpoint.

    Attributes:
        name: the module's name.
        n: output channels.
        k: input channels.
        stored_group_size: values along K that share a scale in the file.
        group_size: the same for the kernels, which have 32, 64 and 128; larger groups are stored as several equal ones.
        format: the format it is stored in.
        entries: what the headers say of its tensors, by suffix.
        has_bias: whether the checkpoint's other tensors have a bias for it, `<name>.bias`.
    """

    name: str
    n: int
    k: int
    stored_group_size: int
    group_size: int
    format: Format
    entries: Entries
    has_bias: bool

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return sum(entry.nbytes for entry in self.entries.values())


@dataclass(frozen=True)
class Format:
    """One way to store a linear layer in 4 bits.

    Attributes:
        name: what users call it.
        required: suffixes of a layer's tensors; the first one marks a layer.
        optional: further suffixes.
        measure: from the headers and the quantization's settings to (N, K, group size in the file).
        unpack: from the tensors to the weight.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    measure: Callable[[str, Entries, dict[str, Any]], tuple[int, int, int]]
    unpack: Callable[[Linear, Tensors, torch.dtype], QuantizedWeight | PackedV2]
    converts: bool = True  # False where the tensors are layout v2 already


# ---- checks ----------------------------------------------------------------------------------------------------------


def _expect(name: str, suffix: str, entries: Entries, kinds: tuple[torch.dtype, ...], *shape: int | None) -> None:
    """Fails unless a tensor has one of the types and the shape, in which None stands for any size."""
    entry, tensor = entries[suffix], f"{name}.{suffix}"
    if entry.kind not in kinds:
        expected = " or ".join(packing._name(kind) for kind in kinds)
        fail(entry.file, tensor, packing._name(entry.kind), expected)
    fits = len(entry.shape) == len(shape) and all(want in (None, have) for want, have in zip(shape, entry.shape))
    if not fits:
        expected = "[" + ", ".join("*" if size is None else str(size) for size in shape) + "]"
        fail(entry.file, tensor, f"shape {list(entry.shape)}", expected)


def _group_size(name: str, suffix: str, entries: Entries, k: int, groups: int, configured: object) -> int:
    """K / groups, which has to be what the settings say (-1 and None: one group for all of K)."""
    where, tensor = entries[suffix].file, f"{name}.{suffix}"
    if groups == 0 or k % groups != 0:
        fail(where, tensor, f"{groups} groups", f"a divisor of K = {k}")
    size = k // groups
    expected = k if configured in (-1, None) else configured
    if size != expected:
        fail(where, tensor, f"{groups} groups of {size}", f"groups of {expected}, as the configuration says")
    return size


def kernel_group_size(where: object, name: str, n: int, k: int, stored: int) -> int:
    """The largest group size of the kernels that divides the stored one; fails where no kernel takes the layer."""
    if n <= 0 or n % ROW_INTERLEAVE != 0:
        fail(where, name, f"N = {n}", f"a positive multiple of {ROW_INTERLEAVE}, as the kernels need")
    if k <= 0 or k % K_STEP != 0:
        fail(where, name, f"K = {k}", f"a positive multiple of {K_STEP}, as the kernels need")
    for size in sorted(GROUP_SIZES_V2, reverse=True):
        if stored % size == 0:
            return size
    fail(where, name, f"group size {stored}", "32, 64, 128 or a multiple of one, as the kernels need")


def _finite(linear: Linear, suffix: str, values: Tensor) -> Tensor:
    good = torch.isfinite(values)
    if not bool(good.all()):
        first = [int(i) for i in (~good).nonzero()[0]]
        found = f"{int((~good).sum())} values that are inf or nan, the first at {first}"
        fail(linear.entries[suffix].file, f"{linear.name}.{suffix}", found, "finite numbers")
    return values


def _cast(linear: Linear, suffix: str, values: Tensor, dtype: torch.dtype) -> Tensor:
    """Finite values in the dtype of the packed tensors."""
    _finite(linear, suffix, values)
    return values if values.dtype == dtype else _finite(linear, suffix, values.to(dtype))


# ---- nibbles ---------------------------------------------------------------------------------------------------------


def _gemm_columns(words: Tensor) -> Tensor:
    """int32 [R, C / 8] in the order of AutoAWQ's `gemm`, the even columns of eight before the odd -> uint8 [R, C]."""
    nibbles = packing._unpack_nibbles(words).reshape(words.shape[0], -1, 2, 4)
    return nibbles.transpose(2, 3).reshape(words.shape[0], -1)


def _columns(words: Tensor) -> Tensor:
    """int32 [R, C / 8] -> uint8 [R, C]."""
    return packing._unpack_nibbles(words)


# ---- AutoAWQ ---------------------------------------------------------------------------------------------------------


def _measure_gemm(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
    _expect(name, "qweight", entries, (torch.int32,), None, None)
    k, n = entries["qweight"].shape[0], entries["qweight"].shape[1] * 8
    _expect(name, "scales", entries, _SCALES, None, n)
    groups = entries["scales"].shape[0]
    _expect(name, "qzeros", entries, (torch.int32,), groups, n // 8)
    return n, k, _group_size(name, "scales", entries, k, groups, settings.get("group_size"))


def _unpack_gemm(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> QuantizedWeight:
    return QuantizedWeight(
        q=_gemm_columns(tensors["qweight"]).t(),
        scales=_cast(linear, "scales", tensors["scales"], dtype).t(),
        zero_points=_gemm_columns(tensors["qzeros"]).t(),
        group_size=linear.stored_group_size,
    )


def _measure_gemv(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
    _expect(name, "qweight", entries, (torch.int32,), None, None)
    n, k = entries["qweight"].shape[0], entries["qweight"].shape[1] * 8
    size = settings.get("group_size", 128)
    size = k if size in (-1, None) else size
    where = entries["qweight"].file
    if not isinstance(size, int) or size <= 0 or k % size != 0:
        fail(where, f"{name}.qweight", f"K = {k}", f"a multiple of the group size {size}")
    kernel_group_size(where, name, n, k, size)  # how others are padded is not defined
    groups = padded_groups(k, size)
    _expect(name, "scales", entries, _SCALES, n, groups)
    _expect(name, "qzeros", entries, (torch.int32,), n, groups // 8)
    return n, k, size


def _unpack_gemv(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> QuantizedWeight:
    groups = linear.k // linear.stored_group_size
    return QuantizedWeight(
        q=_columns(tensors["qweight"]),
        scales=_cast(linear, "scales", tensors["scales"][:, :groups], dtype),
        zero_points=_columns(tensors["qzeros"])[:, :groups],
        group_size=linear.stored_group_size,
    )


def _measure_v2(zeros: str) -> Callable[[str, Entries, dict[str, Any]], tuple[int, int, int]]:
    def measure(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
        _expect(name, "qweight", entries, (torch.int16,), None, None)
        n, k = entries["qweight"].shape[0] * ROW_INTERLEAVE, entries["qweight"].shape[1]
        _expect(name, "scales", entries, _SCALES, None, n)
        rows = entries["scales"].shape[0]
        _expect(name, zeros, entries, (entries["scales"].kind,), rows, n)  # type: ignore[arg-type]
        # The number of rows tells 32, 64 and 128 apart; a larger group size has to be configured.
        configured = settings.get("group_size", 128)
        configured = k if configured in (-1, None) else configured
        sizes = [configured] if isinstance(configured, int) and configured > 128 else [128, 64, 32]
        for size in sizes:
            if k > 0 and k % size == 0 and padded_groups(k, size) == rows:
                return n, k, size
        expected = " or ".join(f"{padded_groups(k, size)} (group size {size})" for size in sizes)
        fail(entries["scales"].file, f"{name}.scales", f"{rows} rows for K = {k}", expected)

    return measure


def _unpack_v2(zeros: str) -> Callable[[Linear, Tensors, torch.dtype], PackedV2]:
    def unpack(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> PackedV2:
        scales, offsets = _cast(linear, "scales", tensors["scales"], dtype), _cast(linear, zeros, tensors[zeros], dtype)
        repeats = linear.stored_group_size // linear.group_size
        if repeats > 1:
            groups = linear.k // linear.stored_group_size
            padded = padded_groups(linear.k, linear.group_size)
            values = []
            for stored in (scales, offsets):
                new = stored.new_zeros(padded, linear.n)
                new[: groups * repeats] = stored[:groups].repeat_interleave(repeats, 0)
                values.append(new)
            scales, offsets = values
        return PackedV2(tensors["qweight"].contiguous(), scales.contiguous(), offsets.contiguous(), linear.group_size)

    return unpack


# ---- GPTQ ------------------------------------------------------------------------------------------------------------


def _measure_gptq(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
    _expect(name, "qweight", entries, (torch.int32,), None, None)
    k, n = entries["qweight"].shape[0] * 8, entries["qweight"].shape[1]
    if n % 8 != 0:
        fail(entries["qweight"].file, f"{name}.qweight", f"N = {n}", "a multiple of 8")
    _expect(name, "scales", entries, _SCALES, None, n)
    groups = entries["scales"].shape[0]
    _expect(name, "qzeros", entries, (torch.int32,), groups, n // 8)
    if "g_idx" in entries:
        _expect(name, "g_idx", entries, (torch.int32, torch.int64), k)
    elif settings.get("desc_act"):
        fail(entries["qweight"].file, f"{name}.g_idx", "none", "the order of K, since desc_act is set")
    return n, k, _group_size(name, "scales", entries, k, groups, settings.get("group_size"))


def _require_order(linear: Linear, suffix: str, tensors: Tensors) -> None:
    """Act-order is refused: its groups are scattered over K, and no layout of the kernels says so."""
    if suffix not in tensors:
        return
    order = tensors[suffix].long()
    expected = torch.arange(linear.k, device=order.device) // linear.stored_group_size
    # Some writers leave the tensor at -1 where nothing was reordered.
    if torch.equal(order, expected) or bool((order == -1).all()):
        return
    fail(
        linear.entries[suffix].file,
        f"{linear.name}.{suffix}",
        "groups scattered over K (act-order, desc_act)",
        f"runs of {linear.stored_group_size}",
        "The kernels take groups that are runs along K. Quantize anew with desc_act=False",
    )


def _unpack_gptq(first_zero: int) -> Callable[[Linear, Tensors, torch.dtype], QuantizedWeight]:
    def unpack(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> QuantizedWeight:
        _require_order(linear, "g_idx", tensors)
        zero_points = _columns(tensors["qzeros"])
        if first_zero and bool((zero_points == packing.MAX_CODE).any()):
            where = [int(i) for i in (zero_points == packing.MAX_CODE).nonzero()[0]]
            fail(
                linear.entries["qzeros"].file,
                f"{linear.name}.qzeros",
                f"zero point 16 at {where}",
                "0..15",
                'If the zero points are stored as they are, say "checkpoint_format": "gptq_v2" in quantization_config',
            )
        return QuantizedWeight(
            q=_columns(tensors["qweight"].t()),
            scales=_cast(linear, "scales", tensors["scales"], dtype).t(),
            zero_points=(zero_points + first_zero).t(),
            group_size=linear.stored_group_size,
        )

    return unpack


# ---- compressed-tensors ----------------------------------------------------------------------------------------------


def _scheme(where: object, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the weights of one layer."""
    groups = settings.get("config_groups")
    for scheme in (groups if isinstance(groups, dict) else {}).values():
        targets = scheme.get("targets") if isinstance(scheme, dict) else None
        for target in targets if isinstance(targets, list) else []:
            pattern = target.removeprefix("re:") if isinstance(target, str) else ""
            try:
                matches = target in ("Linear", name) or (pattern != target and re.match(pattern, name) is not None)
            except re.error as error:
                fail(where, "quantization_config.config_groups", repr(target), f"a regular expression: {error}")
            if matches:
                weights = scheme.get("weights")
                if scheme.get("input_activations") is not None:
                    fail(where, name, "quantized activations", "weights alone (W4A16)")
                if not isinstance(weights, dict):
                    fail(where, "quantization_config.config_groups", f"weights {weights!r}", "an object")
                return weights
    fail(where, name, "no group of quantization_config.config_groups with this target", "one")


def _measure_compressed(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
    where = entries["weight_packed"].file
    weights = _scheme(where, name, settings)
    found = weights.get("num_bits"), weights.get("type", "int")
    if found != (4, "int"):
        fail(where, name, f"{found[0]} bits of type {found[1]}", "4 bits of type int")
    strategy = weights.get("strategy")
    if strategy not in ("group", "channel"):
        fail(where, name, f"strategy {strategy!r}", "'group' or 'channel'")
    _expect(name, "weight_packed", entries, (torch.int32,), None, None)
    n, k = entries["weight_packed"].shape[0], entries["weight_packed"].shape[1] * 8
    _expect(name, "weight_scale", entries, _SCALES, n, None)
    groups = entries["weight_scale"].shape[1]
    if "weight_zero_point" in entries:
        _expect(name, "weight_zero_point", entries, (torch.int32,), math.ceil(n / 8), groups)
    elif not weights.get("symmetric", True):
        fail(where, f"{name}.weight_zero_point", "none", "zero points, since the weights are not symmetric")
    if "weight_g_idx" in entries:
        _expect(name, "weight_g_idx", entries, (torch.int32, torch.int64), k)
    if "weight_shape" in entries:
        _expect(name, "weight_shape", entries, (torch.int32, torch.int64), 2)
    return n, k, _group_size(name, "weight_scale", entries, k, groups, weights.get("group_size"))


def _unpack_compressed(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> QuantizedWeight:
    _require_order(linear, "weight_g_idx", tensors)
    if "weight_shape" in tensors and tensors["weight_shape"].tolist() != [linear.n, linear.k]:
        where, found = linear.entries["weight_shape"].file, tensors["weight_shape"].tolist()
        fail(where, f"{linear.name}.weight_shape", found, [linear.n, linear.k])
    scales = _cast(linear, "weight_scale", tensors["weight_scale"], dtype)
    # Values and zero points are signed, -8..7, and stored with 8 added.
    if "weight_zero_point" in tensors:
        zero_points = _columns(tensors["weight_zero_point"].t())[:, : linear.n].t()
    else:
        zero_points = torch.full(scales.shape, 8, dtype=torch.uint8, device=scales.device)
    return QuantizedWeight(_columns(tensors["weight_packed"]), scales, zero_points, linear.stored_group_size)


# ---- GGUF ------------------------------------------------------------------------------------------------------------

GGUF_BLOCK = 32  # weights
_GGUF_BYTES = {"Q4_0": 18, "Q4_1": 20}  # of a block: a scale, for Q4_1 a minimum, both float16, and 16 bytes of codes


def _measure_gguf(name: str, entries: Entries, settings: dict[str, Any]) -> tuple[int, int, int]:
    entry = entries["weight"]
    if len(entry.shape) != 2 or entry.kind not in _GGUF_BYTES:
        fail(entry.file, name, f"{entry.kind} {list(entry.shape)}", "a matrix in Q4_0 or Q4_1")
    n, k = entry.shape
    return n, k, GGUF_BLOCK


def _unpack_gguf(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> PackedV2:
    kind = linear.entries["weight"].kind
    assert isinstance(kind, str)
    blocks = tensors["weight"].reshape(linear.n, linear.k // GGUF_BLOCK, _GGUF_BYTES[kind])
    numbers = blocks[..., :-16].contiguous().view(torch.float16)
    scales = _finite(linear, "weight", numbers[..., 0])
    # A weight is scale * q + minimum for Q4_1 and scale * (q - 8) for Q4_0.
    offsets = _finite(linear, "weight", numbers[..., 1]) if kind == "Q4_1" else -8.0 * scales.float()
    # The low nibbles of a block are its first 16 values, the high ones the others.
    octets = blocks[..., -16:]
    q = torch.cat((octets & 15, octets >> 4), -1).reshape(linear.n, linear.k)
    rows, groups = padded_groups(linear.k, GGUF_BLOCK), linear.k // GGUF_BLOCK
    packed = []
    for values in (scales, offsets):
        padded = torch.zeros(rows, linear.n, dtype=dtype, device=q.device)
        padded[:groups] = values.t()
        packed.append(_finite(linear, "weight", padded))
    return PackedV2(packing._pack_kernel_v2(q), packed[0], packed[1], GGUF_BLOCK)


# ---- the table -------------------------------------------------------------------------------------------------------

_AWQ = ("qweight", "qzeros", "scales")
_COMPRESSED = ("weight_packed", "weight_scale"), ("weight_zero_point", "weight_shape", "weight_g_idx")

GEMM = Format("AutoAWQ gemm", _AWQ, (), _measure_gemm, _unpack_gemm)
GEMV = Format("AutoAWQ gemv", _AWQ, (), _measure_gemv, _unpack_gemv)
GEMV_FAST = Format("AutoAWQ gemv_fast", _AWQ, (), _measure_v2("qzeros"), _unpack_v2("qzeros"), converts=False)
LLM_AWQ = Format(
    "llm-awq v2",
    ("qweight", "scaled_zeros", "scales"),
    (),
    _measure_v2("scaled_zeros"),
    _unpack_v2("scaled_zeros"),
    converts=False,
)
GPTQ_V1 = Format("GPTQ v1", _AWQ, ("g_idx",), _measure_gptq, _unpack_gptq(1))
GPTQ_V2 = Format("GPTQ v2", _AWQ, ("g_idx",), _measure_gptq, _unpack_gptq(0))
COMPRESSED = Format("compressed-tensors pack-quantized", *_COMPRESSED, _measure_compressed, _unpack_compressed)
GGUF = Format("GGUF", ("weight",), (), _measure_gguf, _unpack_gguf)

# By AutoAWQ's and GPTQModel's names.
AWQ_VERSIONS = {"gemm": GEMM, "gemv": GEMV, "gemv_fast": GEMV_FAST, "llm-awq": LLM_AWQ}
GPTQ_VERSIONS = {"gptq": GPTQ_V1, "gptq_v2": GPTQ_V2}


def choose(where: object, settings: dict[str, Any]) -> Format:
    """The format that the settings of a quantization name."""
    key = "quantization_config"

    def one_of(name: str, value: object, table: dict[str, Format]) -> Format:
        chosen = table.get(str(value).lower())
        if chosen is None:
            fail(where, f"{key}.{name}", repr(value), "one of " + ", ".join(table))
        return chosen

    method = settings.get("quant_method")
    if method == "compressed-tensors":
        if settings.get("format") != "pack-quantized":
            fail(where, f"{key}.format", repr(settings.get("format")), "'pack-quantized'")
        return COMPRESSED
    if method not in ("awq", "gptq"):
        fail(where, f"{key}.quant_method", repr(method), "'awq', 'gptq' or 'compressed-tensors'")
    bits = settings.get("bits", settings.get("w_bit"))
    if bits != 4:
        fail(where, f"{key}.bits", repr(bits), "4")
    if method == "gptq":
        return one_of("checkpoint_format", settings.get("checkpoint_format", "gptq"), GPTQ_VERSIONS)
    name = next((name for name in ("version", "checkpoint_format", "format") if name in settings), "version")
    return one_of(name, settings.get(name, "gemm"), AWQ_VERSIONS)


# ---- from tensors to layers ------------------------------------------------------------------------------------------


def describe(name: str, format: Format, entries: Entries, settings: dict[str, Any], bias: Entry | None) -> Linear:
    """The layer that some tensors make, checked as far as their headers tell."""
    n, k, stored = format.measure(name, entries, settings)
    group_size = kernel_group_size(entries[format.required[0]].file, name, n, k, stored)
    if bias is not None and bias.shape != (n,):
        fail(bias.file, f"{name}.bias", f"shape {list(bias.shape)}", f"[{n}]")
    return Linear(name, n, k, stored, group_size, format, entries, bias is not None)


def pack(linear: Linear, tensors: Tensors, dtype: torch.dtype) -> PackedV2:
    """The layer's weight in layout v2, on the device of its tensors."""
    weight = linear.format.unpack(linear, tensors, dtype)
    if isinstance(weight, PackedV2):
        return weight
    repeats = linear.stored_group_size // linear.group_size
    scales = weight.scales.repeat_interleave(repeats, 1) if repeats > 1 else weight.scales
    zeros = weight.zero_points.repeat_interleave(repeats, 1) if repeats > 1 else weight.zero_points
    try:
        return packing._pack_v2(QuantizedWeight(weight.q, scales, zeros, linear.group_size))
    except ValueError as error:
        raise CheckpointError(f"{linear.entries[linear.format.required[0]].file}: {linear.name}: {error}") from error

"""The calls of old AWQ code on the kernels of awq_inference_engine: weights in AutoAWQ's `gemm` layout.

`awq_ext` and `awq_v2_ext` beside this file have the names and signatures of AutoAWQ's extension modules; code that
imports those runs unchanged. Copies of AWQ from before layout v1 call `awq_inference_engine.gemm_forward_cuda` with
five arguments; `install()` lets it take both.

No kernel reads the `gemm` layout (int32 [K, N / 8]). Such a weight is repacked at its first use and kept for as long as
its tensor lives, which doubles its memory; `python -m awq_kernels.checkpoint convert` repacks a whole checkpoint once.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from awq_kernels import _formats, packing
from awq_kernels.packing import PackedV1, PackedV2, QuantizedWeight

__all__ = ["gemm", "install", "repacked"]


@functools.cache
def engine() -> Any:
    """The compiled module."""
    return importlib.import_module("awq_inference_engine")


def _state(tensor: Tensor) -> tuple[int, int | None]:
    """What changes when a tensor is written to or given other memory; inference tensors count no writes."""
    return tensor.data_ptr(), None if tensor.is_inference() else tensor._version


_Kept = tuple[tuple["weakref.ref[Tensor]", ...], tuple[tuple[int, "int | None"], ...], "PackedV1 | PackedV2"]
_kept: dict[int, _Kept] = {}  # by the id of the tensor of codes


def repacked(qweight: Tensor, scales: Tensor, qzeros: Tensor) -> PackedV1 | PackedV2:
    """A weight in AutoAWQ's `gemm` layout as the kernels take it, repacked at the first call.

    Layout v1 holds the same numbers, scales and integral zero points. Group size 32, which it does not have, becomes
    layout v2, where `-scale * zero_point` is rounded to float16.

    Args:
        qweight: int32 [K, N / 8].
        scales: float16 [K / G, N].
        qzeros: int32 [K / G, N / 8].

    Raises:
        TypeError: an argument is no tensor.
        ValueError: the tensors do not fit together, or no kernel takes their sizes.
    """
    tensors = qweight, scales, qzeros
    for name, tensor in zip(("qweight", "scales", "qzeros"), tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"gemm: {name} must be a torch.Tensor, got {type(tensor).__name__}")
    key, states = id(qweight), tuple(_state(tensor) for tensor in tensors)
    if key in _kept:
        references, then, packed = _kept[key]
        if then == states and all(reference() is tensor for reference, tensor in zip(references, tensors)):
            return packed
    packed = _repack(qweight, scales, qzeros)
    forget = weakref.ref(qweight, lambda _: _kept.pop(key, None))
    _kept[key] = (forget, weakref.ref(scales), weakref.ref(qzeros)), states, packed
    return packed


@torch.no_grad()
def _repack(qweight: Tensor, scales: Tensor, qzeros: Tensor) -> PackedV1 | PackedV2:
    packing._require_tensor("gemm", "qweight", qweight, 2, (torch.int32,))
    k, n = qweight.shape[0], qweight.shape[1] * 8
    packing._require_tensor("gemm", "scales", scales, 2, (torch.float16,))
    groups = scales.shape[0]
    if groups == 0 or k % groups != 0:
        raise ValueError(f"gemm: scales must have K / G rows with K = {k}, got {groups}")
    packing._require_tensor("gemm", "scales", scales, 2, (torch.float16,), (groups, n))
    packing._require_tensor("gemm", "qzeros", qzeros, 2, (torch.int32,), (groups, n // 8))
    size = _formats.kernel_group_size("gemm", "qweight", n, k, k // groups)
    repeats = k // groups // size
    weight = QuantizedWeight(
        q=_formats._gemm_columns(qweight).t(),
        scales=scales.t().repeat_interleave(repeats, 1),
        zero_points=_formats._gemm_columns(qzeros).t().repeat_interleave(repeats, 1),
        group_size=size,
    )
    return packing.pack_v1(weight) if size in packing.GROUP_SIZES_V1 else packing.pack_v2(weight)


def gemm(in_feats: Tensor, qweight: Tensor, scales: Tensor, qzeros: Tensor, split_k_iters: int) -> Tensor:
    """`in_feats [M, K]` times a weight in AutoAWQ's `gemm` layout: float16 [M, N].

    `split_k_iters` is a hint that changes nothing. Sums are float32, where the old kernel's were partly float16.
    """
    packed = repacked(qweight, scales, qzeros)
    rows = in_feats.reshape(-1, in_feats.shape[-1])
    if isinstance(packed, PackedV2):
        out: Tensor = engine().gemm_forward_cuda_new(rows, packed.kernel, packed.scales, packed.zeros)
    else:
        arguments = packed.kernel, packed.scaling_factors, packed.zeros, packed.group_size
        out = engine().gemm_forward_cuda(rows, *arguments, split_k_iters)
    return out.reshape(*in_feats.shape[:-1], out.shape[-1])


def install() -> None:
    """Lets `awq_inference_engine.gemm_forward_cuda` also take the five arguments of `gemm`; once is enough."""
    module = engine()
    own: Callable[..., Tensor] = module.gemm_forward_cuda
    if getattr(own, "takes_five", False):
        return

    @functools.wraps(own)
    def either(*arguments: Any, **named: Any) -> Tensor:
        return (gemm if len(arguments) == 5 and not named else own)(*arguments, **named)

    either.takes_five = True  # type: ignore[attr-defined]
    module.gemm_forward_cuda = either


def missing(module: str, name: str) -> AttributeError:
    """The error about a function that there is none of."""
    return AttributeError(
        f"{module}: awq-kernels-compat has no {name}. It has the functions of AutoAWQ's linear layers and its norm; "
        "those of mixtures of experts (grouped_gemm_forward, moe_alig_block_size, topk_softmax) have no kernel here."
    )

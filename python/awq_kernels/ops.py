"""Registers the compiled functions as `torch.ops.awq.<name>`; importing this module does it.

Names, arguments and defaults are those of `awq_inference_engine`, whose `single_query_attention` is registered too.
Each operator declares what it writes and knows the shape of its result without running, so that `torch.compile` and
`torch.export` trace through it. There is no gradient: the kernels are for inference, and PyTorch warns where a backward
pass reaches one.

PyTorch's dispatcher calls the functions of the extension module themselves. Without the extension module tracing works,
and calling an operator raises ImportError. Importing this module with a PyTorch before 2.5 raises ImportError.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

try:
    from torch.library import infer_schema
except ImportError as error:
    raise ImportError(
        f"torch.ops.awq needs PyTorch 2.5 or newer (torch.library.infer_schema), and this is {torch.__version__}; "
        "the functions of awq_inference_engine and ft_attention themselves do not."
    ) from error

__all__ = ["NAMES"]

NAMES = (
    "gemv_forward_cuda_new",
    "gemm_forward_cuda_new",
    "gemv_forward_cuda",
    "gemm_forward_cuda",
    "layernorm_forward_cuda",
    "fused_add_rms_norm",
    "rotary_embedding_neox",
    "fused_rope_with_pos_forward_func",
    "w8a8_gemm_forward_cuda",
    "w8a8_gemm_fuse_bias_forward_cuda",
    "invoke_quant",
    "rms_norm_general",
    "silu_and_mul",
    "gelu_and_quant",
    "single_query_attention",
)


class _Engine(Protocol):
    """The extension module as seen from here."""

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


def _engine() -> _Engine:
    """The extension module, or an ImportError that says what is missing."""
    try:
        return importlib.import_module("awq_inference_engine")
    except ImportError as error:
        raise ImportError(
            "torch.ops.awq needs the compiled module awq_inference_engine, which could not be imported: "
            f"{error}. Build //:awq_inference_engine and put its folder on PYTHONPATH."
        ) from error


def _implementation(name: str) -> Callable[..., Any]:
    """The function of the extension module; where there is none, one that looks for it again when it is called."""
    try:
        function: Callable[..., Any] = getattr(_engine(), name)
        return function
    except ImportError:
        return lambda *arguments: getattr(_engine(), name)(*arguments)


_library: Any = torch.library  # parts of it are not typed
_LIBRARY = _library.Library("awq", "DEF")
# The kernels read memory as it lies: what a compiler hands over has the strides that were traced.
_TAGS = (torch.Tag.pt2_compliant_tag, getattr(torch.Tag, "needs_exact_strides", torch.Tag.needs_fixed_stride_order))


def _operator(*, writes: Iterable[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers an operator with the signature of the decorated function, which gives the result's shape in tracing.

    Args:
      writes: names of the arguments that the operator writes.
    """

    def register(shape: Callable[..., Any]) -> Callable[..., Any]:
        name = shape.__name__
        _LIBRARY.define(name + infer_schema(shape, mutates_args=writes), tags=_TAGS)
        # On whatever device the tensors are: the module's own message says which it must be.
        _LIBRARY.impl(name, _implementation(name), "CompositeExplicitAutograd")
        _library.register_fake(f"awq::{name}", shape, lib=_LIBRARY)
        return shape

    return register


def _rows_times_channels(in_feats: Tensor, channels: int | torch.SymInt) -> Tensor:
    return in_feats.new_empty((*in_feats.shape[:-1], channels))


@_operator()
def gemv_forward_cuda_new(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, m: int, n: int, k: int, group_size: int
) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0] * 4)


@_operator()
def gemm_forward_cuda_new(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0] * 4)


@_operator()
def gemv_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int
) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0])


@_operator()
def gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0])


@_operator(writes=("out",))
def layernorm_forward_cuda(input: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    pass


@_operator(writes=("residual", "out"))
def fused_add_rms_norm(input: Tensor, residual: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    pass


@_operator(writes=("query", "key"))
def rotary_embedding_neox(positions: Tensor, query: Tensor, key: Tensor, head_size: int, cos_sin_cache: Tensor) -> None:
    pass


@_operator()
def fused_rope_with_pos_forward_func(input: Tensor, freqs: Tensor, transpose_output_memory: bool) -> Tensor:
    s, b, h, d = input.shape
    if transpose_output_memory:
        return input.new_empty((b, s, h, d)).transpose(0, 1)
    return input.new_empty((s, b, h, d))


@_operator(writes=("out_feats",))
def w8a8_gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor
) -> None:
    pass


@_operator(writes=("out_feats",))
def w8a8_gemm_fuse_bias_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor, bias: Tensor
) -> None:
    pass


@_operator(writes=("out", "scale"))
def invoke_quant(out: Tensor, input: Tensor, scale: Tensor) -> None:
    pass


# `scaling` is read, not written, without per-token quantization; a schema can only say the more general of the two.
@_operator(writes=("out", "scaling"))
def rms_norm_general(
    out: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    scaling: Tensor,
    epsilon: float,
    use_per_token_quant: bool = True,
) -> None:
    pass


@_operator()
def silu_and_mul(input: Tensor) -> Tensor:
    return _rows_times_channels(input, input.shape[-1] // 2)


@_operator(writes=("out", "scale_out", "tmp"))
def gelu_and_quant(out: Tensor, input: Tensor, scale_out: Tensor, tmp: Tensor) -> None:
    pass


@_operator(writes=("k_cache", "v_cache"))
def single_query_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    length_per_sample_: Tensor | None,
    alibi_slopes_: Tensor | None,
    timestep: int,
    rotary_embedding_dim: int = 0,
    rotary_base: float = 10000.0,
    rotary_scale: float = 1.0,
    neox_rotary_style: bool = True,
) -> Tensor:
    # `q` may be a slice of a wider projection; the result is contiguous whatever its strides.
    return q.new_empty(q.shape)

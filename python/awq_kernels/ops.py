"""Registers the compiled functions as `torch.ops.awq.<name>`; importing this module does it.

Names, arguments and defaults are those of `awq_inference_engine`, whose `single_query_attention` is registered too.
Each operator declares what it writes and knows the shape of its result without running, so that `torch.compile` and
`torch.export` trace through it. There is no gradient: the kernels are for inference.

The extension module is imported at the first call, not before: tracing needs only the shapes. Importing this module
with a PyTorch before 2.4, or calling an operator without the extension module, raises ImportError.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

try:
    from torch.library import custom_op
except ImportError as error:
    raise ImportError(
        f"torch.ops.awq needs PyTorch 2.4 or newer (torch.library.custom_op), and this is {torch.__version__}; "
        "the functions of awq_inference_engine and ft_attention themselves do not."
    ) from error

__all__ = ["NAMES"]

NAMES = (
    "gemv_forward_cuda_new",
    "gemm_forward_cuda_new",
    "gemv_forward_cuda",
    "gemm_forward_cuda",
    "layernorm_forward_cuda",
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
    """The extension module as seen from here; what functions that write their result return is not used."""

    def __getattr__(self, name: str) -> Callable[..., Tensor]: ...


@functools.cache
def _engine() -> _Engine:
    """The extension module, or an ImportError that says what is missing."""
    try:
        return importlib.import_module("awq_inference_engine")
    except ImportError as error:
        raise ImportError(
            "torch.ops.awq needs the compiled module awq_inference_engine, which could not be imported: "
            f"{error}. Build //:awq_inference_engine and put its folder on PYTHONPATH."
        ) from error


def _rows_times_channels(in_feats: Tensor, channels: int | torch.SymInt) -> Tensor:
    return in_feats.new_empty((*in_feats.shape[:-1], channels))


@custom_op("awq::gemv_forward_cuda_new", mutates_args=())
def gemv_forward_cuda_new(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, m: int, n: int, k: int, group_size: int
) -> Tensor:
    return _engine().gemv_forward_cuda_new(in_feats, kernel, scaling_factors, zeros, m, n, k, group_size)


@gemv_forward_cuda_new.register_fake
def _(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, m: int, n: int, k: int, group_size: int
) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0] * 4)


@custom_op("awq::gemm_forward_cuda_new", mutates_args=())
def gemm_forward_cuda_new(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    return _engine().gemm_forward_cuda_new(in_feats, kernel, scales, zeros)


@gemm_forward_cuda_new.register_fake
def _(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0] * 4)


@custom_op("awq::gemv_forward_cuda", mutates_args=())
def gemv_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int
) -> Tensor:
    return _engine().gemv_forward_cuda(in_feats, kernel, scaling_factors, zeros, group_size)


@gemv_forward_cuda.register_fake
def _(in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0])


@custom_op("awq::gemm_forward_cuda", mutates_args=())
def gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor:
    return _engine().gemm_forward_cuda(in_feats, kernel, scaling_factors, zeros, group_size, split_k_iters)


@gemm_forward_cuda.register_fake
def _(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor:
    return _rows_times_channels(in_feats, kernel.shape[0])


@custom_op("awq::layernorm_forward_cuda", mutates_args=("out",))
def layernorm_forward_cuda(input: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    _engine().layernorm_forward_cuda(input, gamma, out, eps)


@custom_op("awq::rotary_embedding_neox", mutates_args=("query", "key"))
def rotary_embedding_neox(positions: Tensor, query: Tensor, key: Tensor, head_size: int, cos_sin_cache: Tensor) -> None:
    _engine().rotary_embedding_neox(positions, query, key, head_size, cos_sin_cache)


@custom_op("awq::fused_rope_with_pos_forward_func", mutates_args=())
def fused_rope_with_pos_forward_func(input: Tensor, freqs: Tensor, transpose_output_memory: bool) -> Tensor:
    return _engine().fused_rope_with_pos_forward_func(input, freqs, transpose_output_memory)


@fused_rope_with_pos_forward_func.register_fake
def _(input: Tensor, freqs: Tensor, transpose_output_memory: bool) -> Tensor:
    s, b, h, d = input.shape
    if transpose_output_memory:
        return input.new_empty((b, s, h, d)).transpose(0, 1)
    return input.new_empty((s, b, h, d))


@custom_op("awq::w8a8_gemm_forward_cuda", mutates_args=("out_feats",))
def w8a8_gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor
) -> None:
    _engine().w8a8_gemm_forward_cuda(in_feats, kernel, wscales, ascales, out_feats)


@custom_op("awq::w8a8_gemm_fuse_bias_forward_cuda", mutates_args=("out_feats",))
def w8a8_gemm_fuse_bias_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor, bias: Tensor
) -> None:
    _engine().w8a8_gemm_fuse_bias_forward_cuda(in_feats, kernel, wscales, ascales, out_feats, bias)


@custom_op("awq::invoke_quant", mutates_args=("out", "scale"))
def invoke_quant(out: Tensor, input: Tensor, scale: Tensor) -> None:
    _engine().invoke_quant(out, input, scale)


# `scaling` is read, not written, without per-token quantization; a schema can only say the more general of the two.
@custom_op("awq::rms_norm_general", mutates_args=("out", "scaling"))
def rms_norm_general(
    out: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    scaling: Tensor,
    epsilon: float,
    use_per_token_quant: bool = True,
) -> None:
    _engine().rms_norm_general(out, input, weight, bias, scaling, epsilon, use_per_token_quant)


@custom_op("awq::silu_and_mul", mutates_args=())
def silu_and_mul(input: Tensor) -> Tensor:
    return _engine().silu_and_mul(input)


@silu_and_mul.register_fake
def _(input: Tensor) -> Tensor:
    return _rows_times_channels(input, input.shape[-1] // 2)


@custom_op("awq::gelu_and_quant", mutates_args=("out", "scale_out", "tmp"))
def gelu_and_quant(out: Tensor, input: Tensor, scale_out: Tensor, tmp: Tensor) -> None:
    _engine().gelu_and_quant(out, input, scale_out, tmp)


@custom_op("awq::single_query_attention", mutates_args=("k_cache", "v_cache"))
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
    return _engine().single_query_attention(
        q,
        k,
        v,
        k_cache,
        v_cache,
        length_per_sample_,
        alibi_slopes_,
        timestep,
        rotary_embedding_dim,
        rotary_base,
        rotary_scale,
        neox_rotary_style,
    )


@single_query_attention.register_fake
def _(
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

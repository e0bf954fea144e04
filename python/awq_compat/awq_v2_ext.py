"""AutoAWQ's extension module `awq_v2_ext`, by the kernels of awq_inference_engine: layout v2."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor

from awq_kernels_compat import engine, missing

__all__ = ["gemm_forward_cuda_prefill", "gemv_forward_cuda_decode"]


def gemv_forward_cuda_decode(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, m: int, n: int, k: int, group_size: int
) -> Tensor:
    """`gemv_forward_cuda_new` of awq_inference_engine."""
    out: Tensor = engine().gemv_forward_cuda_new(in_feats, kernel, scaling_factors, zeros, m, n, k, group_size)
    return out


def gemm_forward_cuda_prefill(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """`gemm_forward_cuda_new` of awq_inference_engine."""
    out: Tensor = engine().gemm_forward_cuda_new(in_feats, kernel, scales, zeros)
    return out


def __getattr__(name: str) -> NoReturn:
    raise missing(__name__, name)

"""AutoAWQ's extension module `awq_ext`, by the kernels of awq_inference_engine."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from awq_kernels import packing
from awq_kernels_compat import engine, gemm, missing, repacked

__all__ = [
    "dequantize_weights_cuda",
    "gemm_forward_cuda",
    "gemmv2_forward_cuda",
    "gemv_forward_cuda",
    "layernorm_forward_cuda",
]

gemm_forward_cuda = gemm


def gemmv2_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor:
    """`gemm_forward_cuda` of awq_inference_engine: layout v1."""
    out: Tensor = engine().gemm_forward_cuda(in_feats, kernel, scaling_factors, zeros, group_size, split_k_iters)
    return out


def gemv_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int
) -> Tensor:
    """`gemv_forward_cuda` of awq_inference_engine: layout v1."""
    out: Tensor = engine().gemv_forward_cuda(in_feats, kernel, scaling_factors, zeros, group_size)
    return out


def dequantize_weights_cuda(
    kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, split_k_iters: int, thx: int, thy: int, dbg: bool
) -> Tensor:
    """A weight in the `gemm` layout as float16 [K, N]; the numbers after the tensors change nothing."""
    return packing.dequantize(repacked(kernel, scaling_factors, zeros), torch.float16).t().contiguous()


def layernorm_forward_cuda(input: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    """`layernorm_forward_cuda` of awq_inference_engine: RMSNorm into `out`."""
    engine().layernorm_forward_cuda(input, gamma, out, eps)


def __getattr__(name: str) -> NoReturn:
    raise missing(__name__, name)

"""What every function of `awq_inference_engine` and `ft_attention` computes, in plain PyTorch.

Each function has the name, the arguments and the effect of the compiled one: it returns what that returns and writes
the same tensors in place, on any device. It is written for reading and for tests, not for speed, and checks nothing.

Arithmetic is float32, float64 for float64 and for exact integer sums. Results are rounded once, to the dtype of the
tensor they go into, which may be wider here than the compiled functions accept: a caller who passes float32
activations or a float64 `out` sees the values before rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from awq_kernels.packing import PackedV1, PackedV2, dequantize, padded_groups

__all__ = [
    "fused_add_rms_norm",
    "fused_rope_with_pos_forward_func",
    "gelu_and_quant",
    "gemm_forward_cuda",
    "gemm_forward_cuda_new",
    "gemv_forward_cuda",
    "gemv_forward_cuda_new",
    "invoke_quant",
    "layernorm_forward_cuda",
    "rms_norm_general",
    "rotary_embedding_neox",
    "silu_and_mul",
    "single_query_attention",
    "w8a8_gemm_forward_cuda",
    "w8a8_gemm_fuse_bias_forward_cuda",
]

INT8_MAX = 127


def gemv_forward_cuda_new(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, m: int, n: int, k: int, group_size: int
) -> Tensor:
    """`in_feats [..., K]` times the layout v2 weight, transposed: `[..., N]`."""
    weight = dequantize(PackedV2(kernel, scaling_factors, zeros, group_size))
    return (in_feats.float() @ weight.t()).to(in_feats.dtype)


def gemm_forward_cuda_new(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """`gemv_forward_cuda_new` for any number of rows; the rows of `scales` tell the group size."""
    n, k = kernel.shape[0] * 4, kernel.shape[1]
    group_size = next(g for g in (128, 64, 32) if k % g == 0 and padded_groups(k, g) == scales.shape[0])
    return gemv_forward_cuda_new(in_feats, kernel, scales, zeros, in_feats.numel() // k, n, k, group_size)


def gemv_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int
) -> Tensor:
    """`in_feats [M, K]` times the layout v1 weight, transposed: `[M, N]`."""
    weight = dequantize(PackedV1(kernel, scaling_factors, zeros, group_size))
    return (in_feats.float() @ weight.t()).to(in_feats.dtype)


def gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor:
    """`gemv_forward_cuda`; `split_k_iters` is a hint that changes nothing here."""
    return gemv_forward_cuda(in_feats, kernel, scaling_factors, zeros, group_size)


def layernorm_forward_cuda(input: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    """RMSNorm: `out = input * rsqrt(mean(input^2) + eps) * gamma`; finite results saturate in float16."""
    x = _wide(input)
    result = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * _wide(gamma)
    if out.dtype == torch.float16:
        limit = torch.finfo(torch.float16).max
        result = torch.where(result.isfinite(), result.clamp(-limit, limit), result)
    out.copy_(result)


def fused_add_rms_norm(input: Tensor, residual: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None:
    """`residual [..., C] += input`, rounded to its type, then `layernorm_forward_cuda` of it with `gamma [C]`."""
    residual.add_(input)
    layernorm_forward_cuda(residual, gamma, out, eps)


def rotary_embedding_neox(positions: Tensor, query: Tensor, key: Tensor, head_size: int, cos_sin_cache: Tensor) -> None:
    """Turns the first `rot_dim` values of each head of `query` and `key` in place, half against half."""
    half = cos_sin_cache.shape[1] // 2
    # positions [B, S] -> [B, S, 1, 1, half], which broadcasts over the heads of [B, S, 1, H, head_size]
    rows = _wide(cos_sin_cache)[positions][:, :, None, None]
    cosine, sine = rows[..., :half], rows[..., half:]
    for heads in (query, key):
        first, second = _wide(heads[..., :half]), _wide(heads[..., half : 2 * half])
        turned = first * cosine - second * sine, second * cosine + first * sine
        heads[..., : 2 * half].copy_(torch.cat(turned, dim=-1))


def fused_rope_with_pos_forward_func(input: Tensor, freqs: Tensor, transpose_output_memory: bool) -> Tensor:
    """`x * cos + rotate_half(x) * sin` on the first `d2` of each head of `[s, b, h, d]`, the rest copied."""
    s, b, h, d = input.shape
    d2 = freqs.shape[-1]
    angles = _wide(freqs).reshape(b, s, 1, d2).transpose(0, 1)
    x = _wide(input[..., :d2])
    rotated = torch.cat((-x[..., d2 // 2 :], x[..., : d2 // 2]), dim=-1)
    if transpose_output_memory:
        out = input.new_empty(b, s, h, d).transpose(0, 1)
    else:
        out = input.new_empty(s, b, h, d)
    out[..., :d2] = x * angles.cos() + rotated * angles.sin()
    out[..., d2:] = input[..., d2:]
    return out


def w8a8_gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor
) -> None:
    """`out_feats = (in_feats @ kernel.T) * wscales[n] * ascales[m]`, rounded once."""
    out_feats.copy_(_w8a8(in_feats, kernel, wscales, ascales))


def w8a8_gemm_fuse_bias_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor, bias: Tensor
) -> None:
    """`w8a8_gemm_forward_cuda` plus `bias[n]`, added before the rounding."""
    out_feats.copy_(_w8a8(in_feats, kernel, wscales, ascales) + bias.double())


def invoke_quant(out: Tensor, input: Tensor, scale: Tensor) -> None:
    """Per-token symmetric int8: `scale = max|x| / 127`, `out = round(x * 127 / max|x|)`."""
    _quantize_tokens(_wide(input), out, scale)


def rms_norm_general(
    out: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    scaling: Tensor,
    epsilon: float,
    use_per_token_quant: bool = True,
) -> None:
    """LayerNorm, then int8: per token with `bias` added, or times the given `scaling [1]` and without `bias`."""
    x = _wide(input)
    centred = x - x.mean(-1, keepdim=True)
    normalized = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + epsilon) * _wide(weight)
    if use_per_token_quant:
        _quantize_tokens(normalized + _wide(bias), out, scaling)
    else:
        out.view(input.shape).copy_(torch.round(normalized * _wide(scaling)).clamp(-INT8_MAX - 1, INT8_MAX))


def silu_and_mul(input: Tensor) -> Tensor:
    """`silu(input[..., :d]) * input[..., d:]`."""
    gate, up = _wide(input).chunk(2, dim=-1)
    return (gate * torch.sigmoid(gate) * up).to(input.dtype)


def gelu_and_quant(out: Tensor, input: Tensor, scale_out: Tensor, tmp: Tensor) -> None:
    """tanh-GELU into `tmp`, of any shape, then per-token int8 of those values as in `invoke_quant`."""
    x = _wide(input)
    gelu = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))
    rounded = tmp.view(input.shape).copy_(gelu)
    _quantize_tokens(_wide(rounded), out, scale_out)


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
    """One decoding step: stores `k` and `v` in the circular caches and attends to the last `L` positions."""
    batch, heads, head_dim = q.shape
    kv_heads, length = v_cache.shape[1], v_cache.shape[2]
    queries, keys = _wide(q), _wide(k)
    positions = [timestep] * batch if length_per_sample_ is None else length_per_sample_.tolist()
    out = torch.empty(batch, heads, head_dim, dtype=q.dtype, device=q.device)
    for row, t in enumerate(positions):
        query, key = queries[row], keys[row]
        if rotary_embedding_dim > 0:
            rotary = (rotary_embedding_dim, rotary_base, rotary_scale, neox_rotary_style)
            query, key = _rotate(query, t, *rotary), _rotate(key, t, *rotary)
        slot = t % length
        # k_cache[b, h, d // x, l, d % x] = key[h, d]
        k_cache[row, :, :, slot] = key.reshape(kv_heads, *k_cache.shape[2::2]).to(k_cache.dtype)
        v_cache[row, :, slot] = v[row].to(v_cache.dtype)

        # Until the cache wraps, slots 0..t hold positions 0..t; from then on each slot holds the last one it was due.
        used = min(t + 1, length)
        slots = torch.arange(used, device=q.device)
        distance = (t - slots) % length if t >= length else t - slots
        past_keys = _wide(k_cache[row, :, :, :used].transpose(1, 2)).reshape(kv_heads, used, head_dim)
        past_values = _wide(v_cache[row, :, :used])
        grouped = query.reshape(kv_heads, heads // kv_heads, head_dim)
        logits = grouped @ past_keys.transpose(1, 2) / math.sqrt(head_dim)
        if alibi_slopes_ is not None:
            slopes = _wide(alibi_slopes_).reshape(kv_heads, -1, 1)
            logits = logits - slopes * distance
        out[row] = (torch.softmax(logits, dim=-1) @ past_values).reshape(heads, head_dim).to(out.dtype)
    return out


def _wide(x: Tensor) -> Tensor:
    """`x` in the dtype that is computed in."""
    return x if x.dtype == torch.float64 else x.float()


def _quantize_tokens(x: Tensor, out: Tensor, scale: Tensor) -> None:
    """Symmetric int8 per row of the last dimension; a row of zeros gives zeros and scale 0."""
    largest = x.abs().amax(-1, keepdim=True)
    factor = torch.where(largest > 0, INT8_MAX / largest, torch.zeros_like(largest))
    out.view(x.shape).copy_(torch.round(x * factor))
    scale.copy_((largest / INT8_MAX).reshape(scale.shape))


def _w8a8(in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor) -> Tensor:
    """In float64: every sum of int8 products below K = 2^38 is exact there, and it has a matrix product on GPUs."""
    products = in_feats.double() @ kernel.double().t()
    return products * wscales.double() * ascales.double()[:, None]


def _rotate(x: Tensor, position: int, dim: int, base: float, scale: float, neox: bool) -> Tensor:
    """`x [heads, D]` with its first `dim` values turned; angles in float64, because position * frequency is large."""
    exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=x.device) / dim
    angles = position * scale / torch.pow(torch.tensor(base, dtype=torch.float64, device=x.device), exponents)
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = (x[:, : dim // 2], x[:, dim // 2 : dim]) if neox else (x[:, 0:dim:2], x[:, 1:dim:2])
    turned = first * cosine - second * sine, second * cosine + first * sine
    rotated = torch.cat(turned, dim=-1) if neox else torch.stack(turned, dim=-1).flatten(1)
    return torch.cat((rotated, x[:, dim:]), dim=-1)

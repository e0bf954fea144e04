"""The reference implementations, against PyTorch's own functions and cases small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

import awq_kernels as awq
from awq_kernels import reference
from testing.numeric import assert_close, assert_quantized, assert_rounded, assert_same_bits


def test_layernorm_is_rms_norm() -> None:
    x, gamma = torch.randn(2, 3, 40), torch.randn(40)
    out = torch.empty_like(x)
    reference.layernorm_forward_cuda(x, gamma, out, 1e-5)
    wide = x.double()
    expected = wide / (wide.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gamma.double()
    assert_close(out, expected, relative=1e-6, absolute=1e-7)


def test_layernorm_saturates_finite_results_only() -> None:
    x = torch.ones(1, 3, 4, dtype=torch.float16)
    x[0, 1, 0], x[0, 2, 0] = torch.nan, torch.inf
    gamma = torch.tensor([60000.0, 60000.0, -60000.0, 1.0], dtype=torch.float16)
    x[0, 0] = torch.tensor([4.0, 4.0, 4.0, 1.0])
    out = torch.empty_like(x)
    reference.layernorm_forward_cuda(x, gamma, out, 0.0)
    assert out[0, 0, :3].tolist() == [65504.0, 65504.0, -65504.0]
    assert out[0, 1].isnan().all()
    assert out[0, 2, 0].isnan() and not out[0, 2, 1:].any()


def test_rms_norm_general_is_layer_norm_then_int8() -> None:
    x, weight, bias = torch.randn(5, 48), torch.randn(48), torch.randn(48)
    out, scaling = torch.empty(5, 48, dtype=torch.int8), torch.empty(5, dtype=torch.float16)
    reference.rms_norm_general(out, x, weight, bias, scaling, 1e-5)
    exact = F.layer_norm(x.double(), (48,), weight.double(), bias.double(), 1e-5)
    assert_quantized(out, scaling, exact, error=1e-3)
    reference.rms_norm_general(out, x, weight, bias, torch.tensor([20.0]).half(), 1e-5, use_per_token_quant=False)
    exact = (F.layer_norm(x.double(), (48,), weight.double(), None, 1e-5) * 20).clamp(-128, 127)
    assert_close(out, exact, absolute=0.501)


def test_activations() -> None:
    x = torch.randn(3, 2, 64)
    assert_close(reference.silu_and_mul(x), F.silu(x[..., :32].double()) * x[..., 32:], relative=1e-6, absolute=1e-7)
    half = torch.randn(3, 2, 64).half()
    out, scale, tmp = half.to(torch.int8), torch.empty(6).half(), torch.empty_like(half)
    reference.gelu_and_quant(out, half, scale, tmp)
    assert_rounded(tmp, F.gelu(half.double(), approximate="tanh"), absolute=1e-6)
    assert_quantized(out, scale, tmp)


def test_invoke_quant_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, -2.0, 0.5, 0.0], [127.0, 63.4, 63.6, -1.4]])
    out, scale = torch.empty(3, 4, dtype=torch.int8), torch.empty(3, dtype=torch.float16)
    reference.invoke_quant(out, x, scale)
    assert out.tolist() == [[0, 0, 0, 0], [64, -127, 32, 0], [127, 63, 64, -1]]
    assert_rounded(scale, torch.tensor([0.0, 2 / 127, 1.0]))


def test_rotary_neox_is_a_complex_product() -> None:
    heads, size, rotated = 3, 16, 12
    positions = torch.tensor([[5, 0, 2]])
    query, key = torch.randn(1, 3, 1, heads, size).double(), torch.randn(1, 3, 1, 1, size).double()
    angles = torch.randn(8, rotated // 2).double()
    table = torch.cat((angles.cos(), angles.sin()), dim=1)
    expected = []
    for x in (query, key):
        turn = torch.polar(torch.ones_like(angles), angles)[positions[0]][None, :, None, None]
        z = torch.complex(x[..., : rotated // 2], x[..., rotated // 2 : rotated]) * turn
        expected.append(torch.cat((z.real, z.imag, x[..., rotated:]), dim=-1))
    reference.rotary_embedding_neox(positions, query, key, size, table)
    assert_close(query, expected[0], absolute=1e-14)
    assert_close(key, expected[1], absolute=1e-14)


@pytest.mark.parametrize("transposed", [False, True])
def test_fused_rope_one_element_at_a_time(transposed: bool) -> None:
    s, b, h, d, d2 = 3, 2, 2, 8, 6
    x, freqs = torch.randn(b, s, h, d).transpose(0, 1), torch.randn(b, s, 1, d2) * 10
    out = reference.fused_rope_with_pos_forward_func(x, freqs, transposed)
    flat = freqs.flatten()
    for i in range(s):
        for j in range(b):
            for c in range(d2):
                angle = float(flat[(j * s + i) * d2 + c])
                other = -x[i, j, :, c + d2 // 2] if c < d2 // 2 else x[i, j, :, c - d2 // 2]
                assert_close(out[i, j, :, c], x[i, j, :, c] * math.cos(angle) + other * math.sin(angle), absolute=1e-6)
            assert torch.equal(out[i, j, :, d2:], x[i, j, :, d2:])
    assert list(out.shape) == [s, b, h, d]
    assert out.transpose(0, 1).is_contiguous() if transposed else out.is_contiguous()


def test_w4a16_forms_agree() -> None:
    weight, x = awq.quantize(torch.randn(16, 256), 64), torch.randn(2, 3, 256).half()
    v1, v2 = awq.pack_v1(weight), awq.pack_v2(weight)
    expected = F.linear(x.float(), awq.dequantize(v2))
    packed = (v2.kernel, v2.scales, v2.zeros)
    assert_rounded(reference.gemm_forward_cuda_new(x, *packed), expected, absolute=1e-5)
    assert_same_bits(
        reference.gemv_forward_cuda_new(x, *packed, 6, 16, 256, 64), reference.gemm_forward_cuda_new(x, *packed)
    )
    rows = x.reshape(6, 256)
    expected = F.linear(rows.float(), awq.dequantize(weight))
    old = reference.gemv_forward_cuda(rows, v1.kernel, v1.scaling_factors, v1.zeros, 64)
    assert_rounded(old, expected, absolute=1e-5)
    assert_same_bits(old, reference.gemm_forward_cuda(rows, v1.kernel, v1.scaling_factors, v1.zeros, 64, 8))


def test_w8a8_by_hand() -> None:
    a = torch.tensor([[1, -2, 3], [127, 127, -128]], dtype=torch.int8)
    w = torch.tensor([[1, 1, 1], [-128, 0, 127]], dtype=torch.int8)
    ws, scales = torch.tensor([0.5, 0.25]).half(), torch.tensor([2.0, 0.125]).half()
    bias = torch.tensor([1.0, -1.0]).half()
    out = torch.empty(2, 2).double()
    reference.w8a8_gemm_forward_cuda(a, w, ws, scales, out)
    assert out.tolist() == [[2.0, 126.5], [7.875, -1016.0]]
    reference.w8a8_gemm_fuse_bias_forward_cuda(a, w, ws, scales, out, bias)
    assert out.tolist() == [[3.0, 125.5], [8.875, -1017.0]]


def to_k_cache(keys: torch.Tensor, x: int) -> torch.Tensor:
    """[B, Hk, L, D] -> [B, Hk, D/x, L, x], one element at a time in spirit: only views and a copy."""
    b, h, length, d = keys.shape
    return keys.reshape(b, h, length, d // x, x).permute(0, 1, 3, 2, 4).contiguous()


@pytest.mark.parametrize("heads", [2, 6])
def test_attention_is_scaled_dot_product_attention(heads: int) -> None:
    b, hk, d, length = 3, 2, 32, 24
    q, k, v = torch.randn(b, heads, d), torch.randn(b, hk, d), torch.randn(b, hk, d)
    keys, values = torch.randn(b, hk, length, d), torch.randn(b, hk, length, d)
    slopes = torch.rand(heads)
    k_cache, v_cache = to_k_cache(keys, 4), values.clone()
    t = 17
    out = reference.single_query_attention(q, k, v, k_cache, v_cache, None, slopes, t)
    keys[:, :, t], values[:, :, t] = k, v
    group = heads // hk
    bias = slopes[:, None, None] * (torch.arange(t + 1) - t)
    expected = F.scaled_dot_product_attention(
        q[:, :, None].double(),
        keys[:, :, : t + 1].repeat_interleave(group, 1).double(),
        values[:, :, : t + 1].repeat_interleave(group, 1).double(),
        attn_mask=bias.double(),
    )
    assert_close(out, expected[:, :, 0], absolute=1e-6)
    assert torch.equal(k_cache, to_k_cache(keys, 4)) and torch.equal(v_cache, values)


@pytest.mark.parametrize("neox", [True, False])
def test_attention_step_by_step_equals_the_whole_window(neox: bool) -> None:
    """Twenty steps through a cache of eight: each sees the last eight tokens, rotated by their own positions."""
    d, length, rotated, base, scale = 32, 8, 16, 100.0, 0.5
    steps = [torch.randn(3, 1, 1, d) for _ in range(20)]
    k_cache, v_cache = torch.zeros(1, 1, d // 4, length, 4), torch.zeros(1, 1, length, d)

    def turned(x: torch.Tensor, t: int) -> torch.Tensor:
        result = x.clone().double().flatten()
        for i in range(rotated // 2):
            angle = t * scale / base ** (2 * i / rotated)
            one, two = (i, i + rotated // 2) if neox else (2 * i, 2 * i + 1)
            a, c = float(result[one]), float(result[two])
            result[one] = a * math.cos(angle) - c * math.sin(angle)
            result[two] = c * math.cos(angle) + a * math.sin(angle)
        return result

    for t, (q, k, v) in enumerate(steps):
        lengths = torch.tensor([t], dtype=torch.int32)
        out = reference.single_query_attention(q, k, v, k_cache, v_cache, lengths, None, 19, rotated, base, scale, neox)
        window = range(max(0, t + 1 - length), t + 1)
        keys = torch.stack([turned(steps[p][1], p) for p in window])
        values = torch.stack([steps[p][2].flatten().double() for p in window])
        weights = torch.softmax(keys @ turned(q, t) / math.sqrt(d), dim=0)
        assert_close(out.flatten(), weights @ values, absolute=2e-6)


def test_attention_is_usable_at_long_lengths() -> None:
    q, k, v = torch.randn(1, 4, 64), torch.randn(1, 1, 64), torch.randn(1, 1, 64)
    k_cache, v_cache = torch.randn(1, 1, 16, 65536, 4), torch.randn(1, 1, 65536, 64)
    out = reference.single_query_attention(q, k, v, k_cache, v_cache, None, None, 70000)
    assert out.isfinite().all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

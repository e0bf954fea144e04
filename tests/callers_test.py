"""Calls in the forms that AWQ's WQLinear and TinyChat's fused modules make them: views, shared buffers, flat scratch.

Each test walks through what such a caller does, with its shapes, and compares the end with plain PyTorch in float32.
Without a GPU a call has to pass every check but that of the device, and its reference computes what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from awq_kernels import packing, reference

Engine = Any  # the module, or what stands for it

EPSILON = 1e-6


class _WithoutGpu:
    """Each function of the module: it must refuse the device and nothing else; the reference then does the work."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with pytest.raises(ValueError, match=f"^{name}: .* must be on a CUDA device, got a tensor on cpu$"):
                getattr(self._module, name)(*arguments, **named)
            return getattr(reference, name)(*arguments, **named)

        return call


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def awq(engine: ModuleType, device: torch.device) -> Engine:
    return engine if device.type == "cuda" else _WithoutGpu(engine)


def half(*shape: int, device: torch.device) -> Tensor:
    return torch.randn(*shape, device=device).half()


def assert_near(actual: Tensor, expected: Tensor, error: float) -> None:
    """`||actual - expected|| / ||expected||`, which NaN fails."""
    ratio = float((actual.float() - expected).norm() / expected.norm())
    assert ratio <= error, f"relative error {ratio:.3g}, allowed {error:.3g}"


# ---- 4-bit linear layers: WQLinear, QuantLlamaMLP --------------------------------------------------------------------


class Linear4:
    """A layer that keeps its weights as WQLinear does, and chooses the function as it does."""

    def __init__(self, n: int, k: int, device: torch.device, group_size: int = 128) -> None:
        quantized = packing.quantize(half(n, k, device=device) * k**-0.5, group_size)
        self.exact = packing.dequantize(quantized, torch.float32)
        packed = packing.pack_v2(quantized)
        self.qweight, self.scales, self.scaled_zeros = packed.kernel, packed.scales, packed.zeros
        self.n, self.k, self.group_size = n, k, group_size

    @torch.no_grad()
    def __call__(self, awq: Engine, x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        weights = self.qweight, self.scales, self.scaled_zeros
        if x.numel() / x.shape[-1] < 8:
            return awq.gemv_forward_cuda_new(x, *weights, rows, self.n, self.k, self.group_size)
        return awq.gemm_forward_cuda_new(x, *weights)


@pytest.mark.parametrize("tokens", [1, 7, 8, 21])
@pytest.mark.parametrize("n, k", [(256, 512), (136, 1408)])  # 11 groups, stored as 16
def test_quantized_linear_layer(n: int, k: int, tokens: int, awq: Engine, device: torch.device) -> None:
    layer = Linear4(n, k, device)
    x = half(1, tokens, k, device=device)
    out = layer(awq, x)
    assert out.shape == (1, tokens, n)
    assert_near(out, x.float() @ layer.exact.T, 1e-3)


def test_gated_layers_whose_zeros_are_shifted_for_each_call(awq: Engine, device: torch.device) -> None:
    """TinyChat's MLP passes zeros that it has computed just before."""
    layer, x = Linear4(256, 512, device), half(1, 9, 512, device=device)
    shifted = layer.scaled_zeros - 8 * layer.scales
    out = awq.gemm_forward_cuda_new(x, layer.qweight, layer.scales, shifted)
    offset = 8 * layer.scales[: 512 // 128].float().repeat_interleave(128, 0).T
    assert_near(out, x.float() @ (layer.exact - offset).T, 2e-3)


# ---- norms -----------------------------------------------------------------------------------------------------------


def test_norm_of_the_last_token_with_a_parameter_as_weight(awq: Engine, device: torch.device) -> None:
    hidden, weight = half(1, 12, 256, device=device), torch.nn.Parameter(half(256, device=device))
    with torch.inference_mode():
        x = hidden[:, -1:, :]
        out = torch.empty_like(x)
        awq.layernorm_forward_cuda(x, weight, out, EPSILON)
    assert_near(out, functional.rms_norm(x.float(), (256,), weight.detach().float(), EPSILON), 1e-3)


# ---- attention -------------------------------------------------------------------------------------------------------


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """NeoX rotation of [S, heads, D] by [S, D] angles, in float32."""
    x, angles = x.float(), angles.unsqueeze(1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()


@pytest.mark.parametrize("heads, kv_heads", [(4, 4), (8, 2)])
def test_prefill_and_decoding_steps(heads: int, kv_heads: int, awq: Engine, device: torch.device) -> None:
    """Slices of one projection, rotated and stored for the prompt; then token by token from views of one."""
    dim, length, prompt, steps, theta = 64, 64, 11, 4, 10000.0
    total = prompt + steps
    projected = half(1, total, (heads + 2 * kv_heads) * dim, device=device).view(1, total, -1, dim)
    inverse = 1.0 / theta ** (torch.arange(0, dim, 2, device=device).float() / dim)
    table = torch.outer(torch.arange(2 * length, device=device).float(), inverse).reshape(-1, 1, 1, dim // 2)
    table = torch.cat((table, table), dim=-1)
    k_cache = torch.zeros(1, kv_heads, dim // 8, length, 8, device=device).half()
    v_cache = torch.zeros(1, kv_heads, length, dim, device=device).half()

    xqkv, freqs = projected[:, :prompt], table[0:prompt]
    xq = xqkv[:, :, 0:heads].view(1, prompt, heads, dim)
    xk = xqkv[:, :, heads : heads + kv_heads].view(1, prompt, kv_heads, dim)
    xv = xqkv[:, :, -kv_heads:].view(1, prompt, kv_heads, dim)
    q_turned = awq.fused_rope_with_pos_forward_func(xq, freqs, True)
    k_turned = awq.fused_rope_with_pos_forward_func(xk, freqs, True)
    v_cache[:1, :, :prompt] = xv.transpose(2, 1)
    k_cache[:1, :, :, :prompt] = k_turned.reshape(1, prompt, kv_heads, dim // 8, 8).permute(0, 2, 3, 1, 4)

    tokens = projected[0].float()
    angles = table.view(-1, dim)[:total]
    q_exact, k_exact = rotated(tokens[:, :heads], angles), rotated(tokens[:, heads : heads + kv_heads], angles)
    assert_near(q_turned[0], q_exact[:prompt], 1e-3)
    assert_near(k_turned[0], k_exact[:prompt], 1e-3)

    group = heads // kv_heads
    for position in range(prompt, total):
        step = projected[:, position : position + 1]
        xq = step[:, :, 0:heads].view(1, heads, dim)
        xk = step[:, :, heads : heads + kv_heads].view(1, kv_heads, dim)
        xv = step[:, :, -kv_heads:].view(1, kv_heads, dim)
        out = awq.single_query_attention(xq, xk, xv, k_cache, v_cache, None, None, position, dim, theta, 1.0, True)
        keys = k_exact[: position + 1].repeat_interleave(group, dim=1)
        values = tokens[: position + 1, -kv_heads:].repeat_interleave(group, dim=1)
        weights = (torch.einsum("hd,shd->hs", q_exact[position], keys) * dim**-0.5).softmax(-1)
        assert_near(out.reshape(1, 1, -1)[0, 0], torch.einsum("hs,shd->hd", weights, values).flatten(), 2e-3)


def test_rotation_in_place_by_position_ids(awq: Engine, device: torch.device) -> None:
    """Of contiguous copies [B, S, 1, heads, D], split from one projection."""
    tokens, heads, dim, longest = 9, 4, 64, 128
    projected = half(1, tokens, 3, heads, dim, device=device)
    query, key, _ = torch.split(projected, 1, dim=2)
    query, key = query.contiguous(), key.contiguous()
    inverse = 1.0 / 10000.0 ** (torch.arange(0, dim, 2, device=device).float() / dim)
    angles = torch.einsum("i,j->ij", torch.arange(longest, device=device).float(), inverse)
    cache = torch.cat((angles.cos(), angles.sin()), dim=-1).half()
    positions = torch.arange(40, 40 + tokens, device=device)[None]
    awq.rotary_embedding_neox(positions, query, key, dim, cache)
    turned = torch.cat((angles, angles), dim=-1)[40 : 40 + tokens]
    assert_near(query[0, :, 0], rotated(projected[0, :, 0], turned), 1e-3)
    assert_near(key[0, :, 0], rotated(projected[0, :, 1], turned), 1e-3)


# ---- 8-bit vision encoders: QuantSiglipEncoderLayer, QuantInternVisionEncoderLayer -----------------------------------


class Linear8:
    """A layer with bias in int8, per channel, as W8A8OF16LinearDynamicInputScale keeps it."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        self.exact, self.bias = torch.randn(n, k, device=device) * k**-0.5, half(n, device=device)
        self.scale = self.exact.abs().amax(-1) / 127
        self.weight = (self.exact / self.scale[:, None]).round().to(torch.int8)
        self.dequant_scale = self.scale.half()

    def __call__(self, awq: Engine, x: Tensor, scale: Tensor, out: Tensor) -> None:
        awq.w8a8_gemm_fuse_bias_forward_cuda(x, self.weight, self.dequant_scale, scale, out, self.bias)

    def reference(self, x: Tensor) -> Tensor:
        return x @ self.exact.T + self.bias.float()


@pytest.mark.parametrize("tokens", [5, 130])
def test_int8_encoder_layer_in_shared_buffers(tokens: int, awq: Engine, device: torch.device) -> None:
    """Norm, projection, requantization, MLP with GELU: all activations are views of two buffers, scratch is flat."""
    hidden, inner = 192, 448
    shared = torch.empty(tokens * 2 * inner, dtype=torch.float16, device=device)
    projected = shared[: tokens * hidden].view(tokens, hidden)
    opened = shared[: tokens * inner].view(tokens, inner)
    quantized = torch.empty(tokens * inner, dtype=torch.int8, device=device)
    quantized_hidden = quantized[: tokens * hidden].view(tokens, hidden)
    quantized_inner = quantized.view(tokens, inner)
    scale = torch.empty(tokens, dtype=torch.float16, device=device)
    scratch = torch.empty(tokens * inner, dtype=torch.float16, device=device)
    projection, fc1, fc2 = (
        Linear8(hidden, hidden, device),
        Linear8(inner, hidden, device),
        Linear8(hidden, inner, device),
    )
    weight, bias = half(hidden, device=device), half(hidden, device=device)
    x = half(1, tokens, hidden, device=device)

    awq.rms_norm_general(quantized_hidden, x.reshape(-1, hidden), weight, bias, scale, EPSILON, True)
    projection(awq, quantized_hidden, scale, projected)
    normalized = functional.layer_norm(x.float(), (hidden,), weight.float(), bias.float(), EPSILON)[0]
    expected = projection.reference(normalized)
    assert_near(projected, expected, 0.02)

    awq.invoke_quant(quantized_hidden, projected.clone(), scale)
    fc1(awq, quantized_hidden, scale, opened)
    awq.gelu_and_quant(quantized_inner, opened, scale, scratch)
    fc2(awq, quantized_inner, scale, projected)
    assert_near(projected, fc2.reference(functional.gelu(fc1.reference(expected), approximate="tanh")), 0.03)


def test_int8_norm_writes_scales_for_each_token_of_a_batch(awq: Engine, device: torch.device) -> None:
    """Three-dimensional input, two-dimensional output, one scale for each of its rows."""
    x, weight, bias = half(2, 7, 128, device=device), half(128, device=device), half(128, device=device)
    out = torch.empty(14, 128, dtype=torch.int8, device=device)
    scale = torch.empty(14, dtype=x.dtype, device=device)
    awq.rms_norm_general(out, x, weight, bias, scale, EPSILON, True)
    expected = functional.layer_norm(x.float(), (128,), weight.float(), bias.float(), EPSILON).view(14, 128)
    assert_near(out.float() * scale.float()[:, None], expected, 0.02)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""A decoder of the Llama family (Llama, Qwen2, Mistral) on the kernels of awq_inference_engine.

Prefill multiplies by the 4-bit GEMM and attends by PyTorch's scaled_dot_product_attention. Decoding multiplies by the
same layers, attends by `single_query_attention`, and runs as one CUDA graph per step. On the CPU every kernel is
replaced by the function of that name in awq_kernels.reference, which is slow.

Sizes: B sequences, T tokens of the longest prompt, C channels, H query heads, Hk key-value heads, D channels of a head,
L slots of the cache, V words.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from awq_kernels import packing, reference
from awq_kernels.nn import W4A16Linear
from awq_kernels.packing import PackedV2

PRECISIONS = {"4bit": None, "16bit": None, "32bit": torch.float32}  # of the weights that are stored in 4 bits


class Weights(Protocol):
    """What the decoder reads: an `awq_kernels.checkpoint.Checkpoint`, or something with its methods."""

    config: dict[str, Any]
    linears: Any
    tensors: Any
    dtype: torch.dtype

    def linear(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> PackedV2:
        """A 4-bit layer."""
        ...

    def tensor(self, name: str, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
        """Another tensor."""
        ...


@dataclass(frozen=True)
class Config:
    """The sizes and constants of a model."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    window: int | None  # positions that a token attends to; None for all
    theta: float
    scaling: dict[str, Any]
    interleaved: bool  # rotary embedding turns neighbouring pairs, not halves

    @classmethod
    def of(cls, values: dict[str, Any]) -> Config:
        """From the content of config.json; says what of it this decoder does not have."""
        if values.get("model_type") not in ("llama", "qwen2", "mistral"):
            raise ValueError(f"found a model of type {values.get('model_type')!r}, expected llama, qwen2 or mistral")
        rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind not in ("default", "linear", "llama3"):
            raise ValueError(f"found rotary embedding scaled by {kind!r}, expected 'default', 'linear' or 'llama3'")
        if values.get("hidden_act", "silu") != "silu" or values.get("partial_rotary_factor", 1.0) != 1.0:
            raise ValueError("found another activation than SiLU, or heads that turn in part; this decoder has neither")
        heads = values["num_attention_heads"]
        windowed = values.get("use_sliding_window", values["model_type"] == "mistral")
        return cls(
            layers=values["num_hidden_layers"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_dim=values.get("head_dim") or values["hidden_size"] // heads,
            eps=values["rms_norm_eps"],
            window=values.get("sliding_window") if windowed else None,
            theta=rope.get("rope_theta") or values.get("rope_theta", 10000.0),
            scaling={**rope, "rope_type": kind},
            interleaved=bool(values.get("rope_interleaved")),
        )

    def frequencies(self) -> Tensor:
        """Radians per position of each pair, float64 [D / 2], scaled."""
        plain = self.theta ** -(torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim)
        if self.scaling["rope_type"] == "default":
            return plain
        if self.scaling["rope_type"] == "linear":
            return plain / self.scaling["factor"]
        # Llama 3: long waves are stretched, short ones are not, those between in part.
        low, high = self.scaling["low_freq_factor"], self.scaling["high_freq_factor"]
        turns = self.scaling["original_max_position_embeddings"] * plain / (2 * math.pi)
        share = ((turns - low) / (high - low)).clamp(0, 1)
        return plain * (share + (1 - share) / self.scaling["factor"])


@dataclass
class Cache:
    """Keys and values of every layer, and where each sequence stands.

    Attributes:
        keys: per layer, [B, Hk, D / x, L, x], x elements being 16 bytes.
        values: per layer, [B, Hk, L, D].
        tokens: int64 [B]; the next token of each sequence.
        positions: int32 [B]; its position.
        total: the most positions that a sequence reaches.
    """

    keys: list[Tensor]
    values: list[Tensor]
    tokens: Tensor
    positions: Tensor
    total: int


class Layer(nn.Module):
    """The weights of one layer; projections of the same input are one matrix."""

    def __init__(self, weights: Weights, index: int, place: Place) -> None:
        """Reads them."""
        super().__init__()
        prefix = f"model.layers.{index}"
        attention = [f"{prefix}.self_attn.{name}_proj" for name in "qkvo"]
        self.qkv, self.out = projection(weights, attention[:3], place), projection(weights, attention[3:], place)
        self.gate_up = projection(weights, [f"{prefix}.mlp.{name}_proj" for name in ("gate", "up")], place)
        self.down = projection(weights, [f"{prefix}.mlp.down_proj"], place)
        self.input_norm = weights.tensor(f"{prefix}.input_layernorm.weight", place.device, place.dtype)
        self.mlp_norm = weights.tensor(f"{prefix}.post_attention_layernorm.weight", place.device, place.dtype)


@dataclass(frozen=True)
class Place:
    """Where weights go, and as what."""

    device: torch.device
    dtype: torch.dtype
    packed: bool


def projection(weights: Weights, names: list[str], place: Place) -> nn.Module:
    """Layers with one input as one layer, whose outputs are theirs side by side."""
    bias = None
    if any(f"{name}.bias" in weights.tensors for name in names):
        bias = torch.cat([weights.tensor(f"{name}.bias", place.device, place.dtype) for name in names])
    if place.packed and all(name in weights.linears for name in names):
        parts = [weights.linear(name, place.device, place.dtype) for name in names]
        if len({part.group_size for part in parts}) == 1:
            kernel = torch.cat([part.kernel for part in parts])
            scales, zeros = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("scales", "zeros"))
            return W4A16Linear.from_packed(PackedV2(kernel, scales, zeros, parts[0].group_size), bias)
    matrices = []
    for name in names:
        if name in weights.linears:
            stored = weights.linear(name, place.device, weights.dtype)
            matrices.append(packing.dequantize(stored, place.dtype))
        else:
            matrices.append(weights.tensor(f"{name}.weight", place.device, place.dtype))
    return dense(torch.cat(matrices), bias)


def dense(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer that holds these tensors."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    return layer


class Decoder(nn.Module):
    """The model: `prefill` reads prompts into a cache, `step` computes the logits of the next tokens."""

    def __init__(self, weights: Weights, device: torch.device | str = "cpu", precision: str = "4bit") -> None:
        """Reads all weights; `precision` is one of PRECISIONS."""
        super().__init__()
        self.config = config = Config.of(weights.config)
        dtype = PRECISIONS[precision] or weights.dtype
        self.place = place = Place(torch.device(device), dtype, precision == "4bit")
        on_gpu = place.device.type == "cuda"
        self.kernels: Any = importlib.import_module("awq_inference_engine") if on_gpu else reference
        self.layers = nn.ModuleList(Layer(weights, index, place) for index in range(config.layers))
        self.embedding = weights.tensor("model.embed_tokens.weight", place.device, dtype)
        self.norm = weights.tensor("model.norm.weight", place.device, dtype)
        own_head = "lm_head" in weights.linears or "lm_head.weight" in weights.tensors
        self.head = projection(weights, ["lm_head"], place) if own_head else dense(self.embedding)
        self.frequencies = config.frequencies().to(place.device)

    # ---- what a layer is made of -------------------------------------------------------------------------------------

    def normalized(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm of [B, T, C]."""
        out = torch.empty_like(x)
        self.kernels.layernorm_forward_cuda(x, weight, out, self.config.eps)
        return out

    def split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., (H + 2 Hk) D] -> views [..., H, D], [..., Hk, D] and [..., Hk, D]."""
        c = self.config
        heads = qkv.unflatten(-1, (c.heads + 2 * c.kv_heads, c.head_dim))
        q, k, v = heads.split((c.heads, c.kv_heads, c.kv_heads), -2)
        return q, k, v

    def rotated(self, x: Tensor, positions: Tensor) -> Tensor:
        """Heads [..., H, D] turned to their positions [...]."""
        angles = positions[..., None, None] * self.frequencies
        cosine, sine = angles.cos().float(), angles.sin().float()
        pairs = x.float().unflatten(-1, (-1, 2) if self.config.interleaved else (2, -1))
        dim = -1 if self.config.interleaved else -2
        first, second = pairs.unbind(dim)
        turned = torch.stack((first * cosine - second * sine, second * cosine + first * sine), dim)
        return turned.flatten(-2).to(x.dtype)

    def mlp(self, layer: Layer, x: Tensor) -> Tensor:
        """The second half of a layer."""
        gate_up = layer.gate_up(self.normalized(x, layer.mlp_norm))
        out: Tensor = x + layer.down(self.kernels.silu_and_mul(gate_up))
        return out

    def logits(self, x: Tensor) -> Tensor:
        """[..., C] -> float32 [..., V]."""
        out: Tensor = self.head(x)
        return out.float()

    # ---- prompts -----------------------------------------------------------------------------------------------------

    def hidden(self, tokens: Tensor, lengths: list[int], cache: Cache | None = None) -> Tensor:
        """The final states of prompts; fills the cache.

        Args:
            tokens: int64 [B, T]; what follows a shorter prompt does not matter, since no token attends to later ones.
            lengths: of the prompts.
            cache: to be filled, or None.

        Returns:
            [B, T, C], normalized.
        """
        c = self.config
        count = tokens.shape[1]
        positions = torch.arange(count, device=tokens.device)
        mask = None
        if c.window is not None and count > c.window:
            distance = positions[:, None] - positions
            mask = (distance >= 0) & (distance < c.window)
        x = functional.embedding(tokens, self.embedding)
        for index, layer in enumerate(self.layers):
            q, k, v = self.split(layer.qkv(self.normalized(x, layer.input_norm)))
            q, k = self.rotated(q, positions), self.rotated(k, positions)
            if cache is not None:
                self.store(cache, index, k, v, lengths)
            group = c.heads // c.kv_heads
            k, v = (heads.transpose(1, 2).repeat_interleave(group, 1) for heads in (k, v))
            out = functional.scaled_dot_product_attention(q.transpose(1, 2), k, v, mask, is_causal=mask is None)
            x = self.mlp(layer, x + layer.out(out.transpose(1, 2).flatten(2)))
        return self.normalized(x, self.norm)

    def store(self, cache: Cache, index: int, k: Tensor, v: Tensor, lengths: list[int]) -> None:
        """Puts keys and values [B, T, Hk, D] into their slots, of which a window may have fewer than T."""
        keys, values = cache.keys[index], cache.values[index]
        slots, count = values.shape[2], k.shape[1]
        if count <= slots:
            # With what follows a shorter prompt, which later tokens overwrite before they attend to it.
            keys[:, :, :, :count] = k.unflatten(-1, (-1, keys.shape[-1])).permute(0, 2, 3, 1, 4)
            values[:, :, :count] = v.transpose(1, 2)
            return
        for row, length in enumerate(lengths):
            positions = torch.arange(max(0, length - slots), length, device=k.device)
            kept = k[row, positions].unflatten(-1, (-1, keys.shape[-1]))  # [l, Hk, D / x, x]
            keys[row][:, :, positions % slots] = kept.permute(1, 2, 0, 3)
            values[row][:, positions % slots] = v[row, positions].transpose(0, 1)

    def prefill(self, prompts: list[list[int]], new_tokens: int) -> tuple[Cache, Tensor]:
        """Reads prompts; returns the cache, with room for `new_tokens` more each, and float32 [B, V] logits."""
        c, device = self.config, self.place.device
        lengths = [len(prompt) for prompt in prompts]
        if min(lengths, default=0) == 0:
            raise ValueError("found an empty prompt, expected at least one token in each")
        tokens = torch.zeros(len(prompts), max(lengths), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = torch.tensor(prompt)
        total = max(lengths) + new_tokens
        slots = total if c.window is None else min(total, c.window)
        x = 16 // self.place.dtype.itemsize
        shapes = (len(prompts), c.kv_heads, c.head_dim // x, slots, x), (len(prompts), c.kv_heads, slots, c.head_dim)
        keys, values = (
            [torch.zeros(shape, dtype=self.place.dtype, device=device) for _ in range(c.layers)] for shape in shapes
        )
        positions = torch.tensor(lengths, dtype=torch.int32, device=device)
        cache = Cache(keys, values, torch.zeros(len(prompts), dtype=torch.int64, device=device), positions, total)
        states = self.hidden(tokens.to(device), lengths, cache)
        last = states[torch.arange(len(prompts), device=device), positions.long() - 1]
        return cache, self.logits(last)

    # ---- one token more ----------------------------------------------------------------------------------------------

    def attend(self, cache: Cache, index: int, qkv: Tensor) -> Tensor:
        """Attention of one token per sequence: [B, (H + 2 Hk) D] -> [B, H D]."""
        c = self.config
        q, k, v = self.split(qkv)
        kind = c.scaling["rope_type"]
        scale = 1 / c.scaling["factor"] if kind == "linear" else 1.0
        turns = c.head_dim
        if kind == "llama3":  # whose frequencies the kernel does not have
            q, k, turns = self.rotated(q, cache.positions), self.rotated(k, cache.positions), 0
        out = self.kernels.single_query_attention(
            q,
            k,
            v,
            cache.keys[index],
            cache.values[index],
            cache.positions,
            None,
            cache.total - 1,
            turns,
            c.theta,
            scale,
            not c.interleaved,
        )
        return out.flatten(1)

    def step(self, cache: Cache) -> Tensor:
        """Float32 [B, V] logits of what follows `cache.tokens`, which are at `cache.positions`."""
        x = functional.embedding(cache.tokens, self.embedding)[:, None]
        for index, layer in enumerate(self.layers):
            qkv = layer.qkv(self.normalized(x, layer.input_norm))
            x = self.mlp(layer, x + layer.out(self.attend(cache, index, qkv[:, 0]))[:, None])
        return self.logits(self.normalized(x, self.norm)[:, 0])

    def stepper(self, cache: Cache) -> Callable[[], Tensor]:
        """`step` of a cache as a function; on a GPU a CUDA graph, whose result the next call overwrites."""
        if self.place.device.type != "cuda":
            return lambda: self.step(cache)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # once before the capture, which allows no set-up
            self.step(cache)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self.step(cache)

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay

    @torch.inference_mode()
    def generate(
        self, prompts: list[list[int]], new_tokens: int, choose: Callable[[Tensor], Tensor]
    ) -> Iterator[list[int]]:
        """Yields the next token of each prompt, up to `new_tokens` times.

        Args:
            prompts: tokens.
            new_tokens: the most that follow.
            choose: from float32 [B, V] logits to int64 [B] tokens.
        """
        cache, logits = self.prefill(prompts, new_tokens)
        step: Callable[[], Tensor] | None = None
        for index in range(new_tokens):
            cache.tokens.copy_(choose(logits))
            yield cache.tokens.tolist()
            if index + 1 < new_tokens:
                step = step or self.stepper(cache)
                logits = step()
                cache.positions += 1

    @torch.inference_mode()
    def perplexity(self, tokens: list[int]) -> float:
        """Exp of the mean negative log-likelihood of each token but the first."""
        states = self.hidden(torch.tensor([tokens], device=self.place.device), [len(tokens)])[0, :-1]
        targets = torch.tensor(tokens[1:], device=self.place.device)
        loss = 0.0
        for part, wanted in zip(states.split(256), targets.split(256)):  # logits of all at once would be large
            loss += float(functional.cross_entropy(self.logits(part), wanted, reduction="sum"))
        return math.exp(loss / len(targets))

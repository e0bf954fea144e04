"""Measures a decoder layer: its launches in sequence, captured in one CUDA graph, ours and PyTorch's in 16 bits.

What single calls do not show is lost here: the time between kernels, and what one leaves in the caches for the next.
The graph holds several layers, each with tensors of its own. Before a layer's weights are read again, those of the
others have passed through the L2 cache, which they exceed several times: as in real decoding, weights and caches come
from memory, and activations from where the kernel before has left them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import torch
from cases import DecoderLayer
from results import LayerMeasurement, StepTime
from roofline import Ceilings
from timing import graph_us
from torch import Tensor
from torch.nn import functional

from awq_kernels import packing, reference

__all__ = ["measure_layer"]

GRAPH_LAYERS = 4
BUDGET_US = 100e3  # of a graph's replays
EPSILON = 1e-6
GEMV_MAX_ROWS = 7
ROTARY_BASE = 500000.0

Step = Callable[[], object]


def measure_layer(
    problem: DecoderLayer, module: ModuleType, dtype: torch.dtype, ceilings: Ceilings
) -> LayerMeasurement:
    """Microseconds per layer and per step; a Python exception becomes the measurement's failure."""
    us, cautious_us, pytorch_us, error, failure = None, None, None, None, ""
    alone: dict[str, float] = {}
    try:
        torch.manual_seed(0)
        layers = [_OurLayer(problem, module, dtype)]
        error = layers[0].error()
        layers += [layers[0].copy() for _ in range(GRAPH_LAYERS - 1)]
        steps = [step for layer in layers for step in layer.steps.values()]
        module.set_constant_weights(False)
        cautious_us = graph_us(steps, BUDGET_US) / GRAPH_LAYERS
        module.set_constant_weights(True)
        us = graph_us(steps, BUDGET_US) / GRAPH_LAYERS
        alone = {
            name: graph_us([layer.steps[name] for layer in layers], BUDGET_US) / GRAPH_LAYERS for name in problem.steps
        }
        dense = [_PyTorchLayer(layers[0])]
        del layers
        dense += [dense[0].copy() for _ in range(GRAPH_LAYERS - 1)]
        pytorch_us = graph_us([layer.run for layer in dense], BUDGET_US) / GRAPH_LAYERS
    except (RuntimeError, TypeError, ValueError) as exception:
        failure = f"{type(exception).__name__}: {str(exception).splitlines()[0]}"
    return LayerMeasurement(
        coordinates=problem.coordinates,
        steps=[StepTime(name, ceilings.floor_us(work), alone.get(name)) for name, work in problem.steps.items()],
        us=us,
        cautious_us=cautious_us,
        pytorch_us=pytorch_us,
        error=error,
        failure=failure,
    )


class _OurLayer:
    """A layer's tensors, and its steps in the order of DecoderLayer.steps; each reads what the one before wrote.

    `x` is what the layer before adds to the residual stream, and the last step's result is what this one adds.
    """

    def __init__(self, problem: DecoderLayer, module: ModuleType, dtype: torch.dtype) -> None:
        self.problem, self.module = problem, module
        self.weights = {
            name: packing.pack_v2(packing.quantize(0.02 * _randn(n, k, dtype=dtype)))
            for name, (n, k) in problem.products
        }
        self.gammas = [1 + 0.1 * _randn(problem.hidden, dtype=dtype) for _ in range(2)]
        shape = problem.batch, problem.kv_heads, problem.head_dim, problem.length
        self.k_cache = _randn(shape[0], shape[1], shape[2] // 8, shape[3], 8, dtype=dtype)
        self.v_cache = _randn(shape[0], shape[1], shape[3], shape[2], dtype=dtype)
        self.x, self.residual = (_randn(problem.batch, problem.hidden, dtype=dtype) for _ in range(2))
        self.steps = self._steps()

    def copy(self) -> _OurLayer:
        """The same values in other memory."""
        other = object.__new__(_OurLayer)
        other.problem, other.module = self.problem, self.module
        other.weights = {
            name: packing.PackedV2(w.kernel.clone(), w.scales.clone(), w.zeros.clone(), w.group_size)
            for name, w in self.weights.items()
        }
        other.gammas = [gamma.clone() for gamma in self.gammas]
        other.k_cache, other.v_cache = self.k_cache.clone(), self.v_cache.clone()
        other.x, other.residual = self.x.clone(), self.residual.clone()
        other.steps = other._steps()
        return other

    def error(self) -> float:
        """||out - reference|| / ||reference|| of the layer's output against the float32 reference of every step."""
        residual = self.residual.float()
        for step in self.steps.values():
            step()
        ours = self.values["down"].float()
        wide = self._steps_of(reference, self.x.float(), residual)
        for step in wide.values():
            step()
        expected = self.values["down"]
        self.steps = self._steps()
        return float((ours - expected).norm() / expected.norm())

    def _steps(self) -> dict[str, Step]:
        return self._steps_of(self.module, self.x, self.residual)

    def _steps_of(self, functions: ModuleType, x: Tensor, residual: Tensor) -> dict[str, Step]:
        """The steps by these functions, awq_kernels.reference's in float32 or the module's; results go to `values`."""
        p, values = self.problem, {"input": x}
        self.values = values

        def norm(to: str, source: str, gamma: Tensor) -> Step:
            out = torch.empty_like(x)
            values[to] = out
            return lambda: functions.fused_add_rms_norm(values[source], residual, gamma.to(x.dtype), out, EPSILON)

        def product(to: str, source: str) -> Step:
            weight = self.weights[to]
            tensors = weight.kernel, weight.scales, weight.zeros
            n, k = dict(p.products)[to]

            def run() -> None:
                if p.batch <= GEMV_MAX_ROWS:
                    values[to] = functions.gemv_forward_cuda_new(
                        values[source], *tensors, p.batch, n, k, weight.group_size
                    )
                else:
                    values[to] = functions.gemm_forward_cuda_new(values[source], *tensors)

            return run

        def attention() -> None:
            heads = values["qkv"].view(p.batch, p.heads + 2 * p.kv_heads, p.head_dim)
            q, k, v = torch.split(heads, [p.heads, p.kv_heads, p.kv_heads], dim=1)
            out = functions.single_query_attention(
                q, k, v, self.k_cache, self.v_cache, None, None, p.length - 1, p.head_dim, ROTARY_BASE
            )
            values["attention"] = out.view(p.batch, -1)

        def silu() -> None:
            values["silu and multiply"] = functions.silu_and_mul(values["gate and up"])

        return {
            "first norm": norm("first norm", "input", self.gammas[0]),
            "qkv": product("qkv", "first norm"),
            "attention": attention,
            "output": product("output", "attention"),
            "second norm": norm("second norm", "output", self.gammas[1]),
            "gate and up": product("gate and up", "second norm"),
            "silu and multiply": silu,
            "down": product("down", "silu and multiply"),
        }


class _PyTorchLayer:
    """The same layer with dequantized weights: cuBLAS, SDPA, eager operations for the rest."""

    def __init__(self, layer: _OurLayer) -> None:
        p = self.problem = layer.problem
        dtype = layer.x.dtype
        self.weights = {name: packing.dequantize(weight, dtype) for name, weight in layer.weights.items()}
        self.gammas, self.x, self.v_cache = layer.gammas, layer.x, layer.v_cache
        self.residual = layer.residual
        self.k_cache = layer.k_cache.permute(0, 1, 3, 2, 4).reshape(p.batch, p.kv_heads, p.length, p.head_dim)
        turned = (p.length - 1) * ROTARY_BASE ** (-torch.arange(0, p.head_dim, 2, device="cuda") / p.head_dim)
        self.cosine = torch.cat((turned.cos(), turned.cos())).to(dtype)
        self.sine = torch.cat((-turned.sin(), turned.sin())).to(dtype)

    def copy(self) -> _PyTorchLayer:
        """The same values in other memory."""
        other = object.__new__(_PyTorchLayer)
        other.problem, other.gammas, other.x = self.problem, self.gammas, self.x
        other.residual = self.residual
        other.cosine, other.sine = self.cosine, self.sine
        other.weights = {name: weight.clone() for name, weight in self.weights.items()}
        other.k_cache, other.v_cache = self.k_cache.clone(), self.v_cache.clone()
        return other

    def run(self) -> Tensor:
        """One layer."""
        p, w = self.problem, self.weights
        residual = self.residual + self.x
        x = functional.rms_norm(residual, (p.hidden,), self.gammas[0], EPSILON)
        heads = functional.linear(x, w["qkv"]).view(p.batch, -1, p.head_dim)
        turning, v = torch.split(heads, [p.heads + p.kv_heads, p.kv_heads], dim=1)
        first, second = turning.chunk(2, dim=-1)
        turned = torch.addcmul(turning * self.cosine, torch.cat((second, first), dim=-1), self.sine)
        q, k = torch.split(turned, [p.heads, p.kv_heads], dim=1)
        self.k_cache[:, :, p.length - 1] = k
        self.v_cache[:, :, p.length - 1] = v
        out = functional.scaled_dot_product_attention(
            q.unsqueeze(2), self.k_cache, self.v_cache, enable_gqa=p.heads != p.kv_heads
        )
        x = functional.linear(out.view(p.batch, -1), w["output"])
        residual = residual + x
        x = functional.rms_norm(residual, (p.hidden,), self.gammas[1], EPSILON)
        gate, up = functional.linear(x, w["gate and up"]).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, w["down"])


def _randn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, dtype=dtype, device="cuda")

"""Times every configuration of the matrix products on every shape, and checks its result."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import awq_tuning
import torch
from results import ERROR_BOUNDS
from timing import Timer
from torch import Tensor
from tuning_data import MAX_WAVES, Choice, Configuration, Point, Shape

from awq_kernels import packing

__all__ = ["configurations", "measure_points", "wrong_results"]

CHECKED_ROWS = 256  # of a result, evenly spread: a dense float32 product of all of 16384 takes longer than ours
DECODE_ROWS = 16  # up to so many are timed in a graph where that is asked for
GRAPH_SHARE = 1 / 8  # of the budget for one of their graphs, which measures many calls at a time
SMALL_TOKENS = 64  # tiles of fewer are not tried on more than MAX_TILES times their tokens
MAX_TILES = 8


@dataclass(frozen=True)
class _Weight:
    """Tensors of a weight by name, and the float32 matrix that they stand for."""

    tensors: dict[str, Tensor]
    dense: Tensor


def configurations(family: str) -> dict[str, Configuration]:
    """What the module has."""
    return {
        name: Configuration(arch, tokens, channels, smem_bytes)
        for name, arch, tokens, channels, smem_bytes in awq_tuning.configurations(family)
    }


def measure_points(shapes: Iterable[Shape], timer: Timer, graph: bool) -> Iterator[tuple[Point, list[str]]]:
    """Yields a point per shape, and what computed something else than the reference, which has no time.

    With `graph`, few rows are timed in a CUDA graph, on constant weights that come from memory; else, as more rows are,
    alone and from a cold L2 cache.
    """
    for shape in shapes:
        prepared = _prepare(shape)
        wrong = prepared.wrong()
        times = prepared.graph_us(timer) if graph and shape.m <= DECODE_ROWS else prepared.cold_us(timer)
        us = {c: float(f"{time:.4g}") for choices, time in zip(prepared.cuts.values(), times) for c in choices}
        yield Point(shape, us), wrong


def wrong_results(shapes: Iterable[Shape]) -> Iterator[str]:
    """What computes something else than the reference."""
    for shape in shapes:
        yield from _prepare(shape).wrong()


@dataclass(frozen=True)
class _Prepared:
    """A shape with its tensors.

    Attributes:
        cuts: by configuration and parts along K or channels of a tile, the choices that lead there.
    """

    shape: Shape
    problem: awq_tuning.Problem
    tensors: dict[str, Tensor]
    expected: Tensor
    rows: Tensor
    cuts: dict[tuple[str, int], list[Choice]]

    def call(self, choice: Choice, constant_weights: bool = False) -> Callable[[], None]:
        addresses = {name: tensor.data_ptr() for name, tensor in self.tensors.items()}

        def run() -> None:
            stream = torch.cuda.current_stream().cuda_stream  # in a graph, that which is captured
            self.problem.run(choice.configuration, choice.waves, addresses, stream, constant_weights)

        return run

    def cold_us(self, timer: Timer) -> list[float]:
        """Microseconds of every cut, alone."""
        return timer.compare_us([self.call(choices[0]) for choices in self.cuts.values()])

    def graph_us(self, timer: Timer) -> list[float]:
        """Microseconds of every cut, in a graph of calls whose weights together exceed the L2 cache several times."""
        weight = {name: self.tensors[name] for name in ("weights", "scales", "zeros") if name in self.tensors}
        size = sum(tensor.numel() * tensor.element_size() for tensor in weight.values())
        others = [{name: tensor.clone() for name, tensor in weight.items()} for _ in range(timer.copies(size) - 1)]
        copies = [self, *(dataclasses.replace(self, tensors=self.tensors | other) for other in others)]
        return [
            timer.in_turn_us([copy.call(choices[0], True) for copy in copies], GRAPH_SHARE)
            for choices in self.cuts.values()
        ]

    def wrong(self) -> list[str]:
        """What differs from the reference, which is left out from now on."""
        out = self.tensors["out"]
        bound = ERROR_BOUNDS[str(out.dtype).removeprefix("torch.")]
        found = []
        # With constant weights, kernels load in another order; the one before must not matter either way.
        runs = [(*cut, choices, constant) for cut, choices in self.cuts.items() for constant in (False, True)]
        for name, parts, choices, constant in runs:
            out.fill_(float("nan"))
            self.call(choices[0], constant_weights=constant)()
            error = float((out[self.rows].float() - self.expected).norm() / self.expected.norm())
            if not (error <= bound and bool(out.isfinite().all())):
                found.append(f"{self.shape.name}, {name}, {parts} parts or channels: error {error:.2g}")
                self.cuts.pop((name, parts), None)
        return found


def _prepare(shape: Shape) -> _Prepared:
    torch.manual_seed(0)
    weight = _weight(shape.kind, shape.n, shape.k, shape.group_size)
    dtype = torch.bfloat16 if shape.kind == "v2_bf16" else torch.float16
    x, activations = _activations(shape, dtype)
    problem, device = _problem(shape, weight), awq_tuning.this_device()

    cuts: dict[tuple[str, int], list[Choice]] = {}
    workspace_bytes = 1
    for name, _, tokens, *_ in awq_tuning.configurations(shape.family):
        if tokens < SMALL_TOKENS and shape.m > MAX_TILES * tokens:
            continue
        for waves in range(MAX_WAVES + 1):
            cut = problem.cut(name, waves, device)
            if cut is not None:
                cuts.setdefault(cut[:2], []).append(Choice(name, waves))
                workspace_bytes = max(workspace_bytes, cut[2])

    rows = torch.linspace(0, shape.m - 1, min(shape.m, CHECKED_ROWS), device="cuda").long()
    expected = x[rows].float() @ weight.dense.t()
    if shape.kind == "w8a8":
        expected *= weight.tensors["scales"].float() * activations["token_scales"][rows].float()[:, None]
    results = {
        "out": torch.empty(shape.m, shape.n, dtype=dtype, device="cuda"),
        "workspace": torch.empty(workspace_bytes, dtype=torch.uint8, device="cuda"),
    }
    return _Prepared(shape, problem, weight.tensors | activations | results, expected, rows, cuts)


def _problem(shape: Shape, weight: _Weight) -> awq_tuning.Problem:
    m, n, k = shape.m, shape.n, shape.k
    if shape.kind == "w8a8":
        return awq_tuning.w8a8(m, n, k)
    if shape.kind == "v1":
        return awq_tuning.w4a16_v1(m, n, k, shape.group_size, weight.tensors["scales"].shape[1])
    return awq_tuning.w4a16_v2(m, n, k, shape.group_size, bfloat16=shape.kind == "v2_bf16")


def _activations(shape: Shape, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    """[m, k], and the tensors of that name and of the rows' scales."""
    if shape.kind == "w8a8":
        x = torch.randint(-127, 128, (shape.m, shape.k), dtype=torch.int8, device="cuda")
        return x, {"in": x, "token_scales": (3e-3 * (0.5 + torch.rand(shape.m, device="cuda"))).half()}
    x = torch.randn(shape.m, shape.k, dtype=dtype, device="cuda")
    return x, {"in": x}


# Shapes of one weight follow each other.
@functools.lru_cache(maxsize=1)
def _weight(kind: str, n: int, k: int, group_size: int) -> _Weight:
    if kind == "w8a8":
        codes = torch.randint(-127, 128, (n, k), dtype=torch.int8, device="cuda")
        scales = (1e-3 * (0.5 + torch.rand(n, device="cuda"))).half()
        return _Weight({"weights": codes, "scales": scales}, codes.float())
    dtype = torch.bfloat16 if kind == "v2_bf16" else torch.float16
    quantized = packing.quantize(0.02 * torch.randn(n, k, dtype=dtype, device="cuda"), group_size)
    if kind == "v1":
        v1 = packing.pack_v1(quantized)
        return _Weight({"weights": v1.kernel, "scales": v1.scaling_factors, "zeros": v1.zeros}, packing.dequantize(v1))
    v2 = packing.pack_v2(quantized)
    return _Weight({"weights": v2.kernel, "scales": v2.scales, "zeros": v2.zeros}, packing.dequantize(v2))

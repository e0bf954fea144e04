"""Builds the inputs of a case, checks the result against the float32 reference, times ours and PyTorch's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType

import torch
from cases import Attention, Case, Linear4, Linear8, Rotary, Rows
from results import HostTime, Measurement
from roofline import Ceilings
from timing import Bound, Call, Timer, Timing
from torch import Tensor
from torch.nn import functional

from awq_kernels import packing, reference

__all__ = ["host_times", "measure", "measure_ceilings"]

Modules = dict[str, ModuleType]  # by name
Pairs = Iterable[tuple[Tensor, Tensor]]  # result and reference, part by part

CHUNK_ROWS = 4096  # rows of a matrix product that are compared at a time: float32 of 28672 columns takes 470 MB
TINYGEMM_ROWS = 64  # it is made for few rows, and beyond them takes milliseconds
READING_GROUPS = ("w4a16", "w4a16_v1", "w8a8", "attention")  # those that decoding spends its time in
EPSILON = 1e-6
FIRST_POSITION = 1000  # of rotary embeddings; at position 0 there is no turn to be checked
OURS = "ours"  # beside the names of the peers


@dataclass(frozen=True)
class Prepared:
    """A case with its tensors.

    Attributes:
        run: our function with its arguments; what it returns or writes stays valid until the next call.
        compare: calls it and yields result and reference; inputs that it changes are left as valid inputs.
        peers: the same work, or the nearest there is, by PyTorch's operations.
    """

    run: Bound
    compare: Callable[[], Pairs]
    peers: dict[str, Bound] = field(default_factory=dict)


def measure(case: Case, modules: Modules, dtype: torch.dtype, ceilings: Ceilings, timer: Timer) -> Measurement:
    """Runs a case; a Python exception becomes the measurement's failure."""
    work = case.problem.work
    owner = "" if case.module == "awq_inference_engine" else f"{case.module}."
    timings: dict[str, Timing] = {}
    graph_us: dict[str, float] = {}
    error, failure = None, ""
    try:
        prepared = _prepare(case, modules, dtype)
        error = _relative_error(prepared.compare())
        calls = {OURS: prepared.run} | prepared.peers
        timings = {name: timer.gpu_us(call) for name, call in calls.items()}
        graph_us = {name: timer.rotating_us(call) for name, call in calls.items()}
    except (RuntimeError, TypeError, ValueError) as exception:
        failure = f"{type(exception).__name__}: {str(exception).splitlines()[0]}"
    ours = timings.pop(OURS, None)
    return Measurement(
        name=case.name,
        group=case.group,
        function=owner + case.function,
        coordinates=case.problem.coordinates,
        bytes=work.bytes,
        operations=work.operations,
        unit=work.unit,
        target_us=case.target_us,
        reference_us=case.reference_us,
        floor_us=ceilings.floor_us(work),
        us=ours.median if ours else None,
        spread_us=[ours.percentile_10, ours.percentile_90] if ours else [],
        peers={name: timing.median for name, timing in timings.items()},
        graph_us=graph_us.pop(OURS, None),
        graph_peers=graph_us,
        reading_us=reading_us(work.bytes, timer) if case.group in READING_GROUPS else [],
        error=error,
        failure=failure,
    )


@functools.cache
def reading_us(size: int, timer: Timer) -> list[float]:
    """Microseconds in a graph of a kernel that reads so many bytes and does nothing else.

    Plainly, and with its first loads ahead of the end of the kernel before. Empty without the benchmark's own module.
    """
    try:
        import awq_floors
    except ImportError:
        return []
    values = torch.randint(0, 256, (size // 16 * 16,), dtype=torch.uint8, device="cuda")

    def read(data: Tensor, early: bool) -> None:
        awq_floors.read(data.data_ptr(), data.numel(), early, torch.cuda.current_stream().cuda_stream)

    return [timer.rotating_us(Bound(read, (values, early))) for early in (False, True)]


def measure_ceilings(dtype: torch.dtype) -> Ceilings:
    """What this GPU does: a copy far larger than its caches, matrix products of 8192^3 on random values."""
    # A ceiling is what the GPU can do, not what it usually does: the fastest tenth of a burst that ends before the
    # power limit sets in. A product of 8192^3 repeated for 0.15 s falls behind smaller ones that rest in between.
    timer = Timer(budget_ms=15, min_repetitions=10)
    copied = min(4 << 30, torch.cuda.mem_get_info()[0] // 4)
    source = torch.randint(0, 256, (copied,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    size = 8192
    a, b = _randn(size, size, dtype=dtype), _randn(size, size, dtype=dtype)
    c, d = _int8(size, size), _int8(size, size)

    def rate(amount: int, call: Call) -> float:
        return 1e6 * amount / timer.gpu_us(call).percentile_10

    return Ceilings(
        copy=rate(2 * source.numel(), lambda: target.copy_(source)),
        fp16=rate(2 * size**3, lambda: functional.linear(a, b)),
        int_mm=rate(2 * size**3, lambda: torch._int_mm(c, d.t())),
    )


def host_times(cases: Iterable[Case], modules: Modules, dtype: torch.dtype, timer: Timer) -> Iterator[HostTime]:
    """The host's part of a call, for the smallest of each function's cases: what decoding waits for."""
    smallest: dict[tuple[str, str], Case] = {}
    for case in cases:
        key = (case.module, case.function)
        if key not in smallest or case.problem.work.bytes < smallest[key].problem.work.bytes:
            smallest[key] = case
    for (module, function), case in smallest.items():
        prepared = _prepare(case, modules, dtype)
        peers = timer.host_us({OURS: prepared.run, **prepared.peers})
        yield HostTime(
            function=function if module == "awq_inference_engine" else f"{module}.{function}",
            coordinates=case.problem.coordinates,
            us=peers.pop(OURS),
            peers=peers,
        )


def _relative_error(pairs: Pairs) -> float:
    """||result - reference|| / ||reference|| over all parts; NaN if a result is."""
    difference = torch.zeros((), dtype=torch.float64, device="cuda")
    norm = torch.zeros_like(difference)
    for result, expected in pairs:
        wide = expected.float()
        difference += (result.float() - wide).square().sum(dtype=torch.float64)
        norm += wide.square().sum(dtype=torch.float64)
    return float((difference / norm).sqrt())


def _prepare(case: Case, modules: Modules, dtype: torch.dtype) -> Prepared:
    torch.manual_seed(0)
    module, problem = modules[case.module], case.problem
    if isinstance(problem, Linear4):
        layout = _linear4_v1 if problem.layout == 1 else _linear4_v2
        return layout(module, case.function, problem, dtype)
    if isinstance(problem, Linear8):
        return _linear8(module, problem)
    if isinstance(problem, Attention):
        return _attention(module, problem, dtype)
    if isinstance(problem, Rotary):
        return _ROTARY[case.function](module, problem, dtype)
    return _ROWS[case.function](module, problem, dtype)


def _randn(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, dtype=dtype, device="cuda")


def _int8(*shape: int) -> Tensor:
    return torch.randint(-127, 128, shape, dtype=torch.int8, device="cuda")


def _poisoned(*shape: int, dtype: torch.dtype) -> Tensor:
    """A tensor to be written, whose values nobody takes for a result."""
    return torch.full(shape, float("nan") if dtype.is_floating_point else 99, dtype=dtype, device="cuda")


# ---- matrix products ------------------------------------------------------------------------------------------------


# Cases of one shape follow each other, so one weight at a time is enough to pack each only once.
@functools.lru_cache(maxsize=1)
def _quantized(n: int, k: int, group_size: int, dtype: torch.dtype) -> packing.QuantizedWeight:
    return packing.quantize(0.02 * _randn(n, k, dtype=dtype), group_size)


@functools.lru_cache(maxsize=1)
def _packed_v2(n: int, k: int, group_size: int, dtype: torch.dtype) -> packing.PackedV2:
    return packing.pack_v2(_quantized(n, k, group_size, dtype))


@functools.lru_cache(maxsize=1)
def _packed_v1(n: int, k: int, group_size: int, dtype: torch.dtype) -> packing.PackedV1:
    return packing.pack_v1(_quantized(n, k, group_size, dtype))


def _dense_product(x: Tensor, problem: Linear4) -> Bound:
    weight = packing.dequantize(_quantized(problem.n, problem.k, problem.group_size, x.dtype), x.dtype)
    return Bound(functional.linear, (x, weight))


def _compare_rows(x: Tensor, run: Bound, expected: Callable[[Tensor], Tensor]) -> Pairs:
    out = run()
    assert isinstance(out, Tensor)
    for rows, result in zip(torch.split(x, CHUNK_ROWS), torch.split(out, CHUNK_ROWS)):
        yield result, expected(rows.float())


def _linear4_v2(module: ModuleType, function: str, problem: Linear4, dtype: torch.dtype) -> Prepared:
    n, k, m = problem.n, problem.k, problem.m
    packed = _packed_v2(n, k, problem.group_size, dtype)
    kernel, scales, zeros = packed.kernel, packed.scales, packed.zeros
    x = _randn(m, k, dtype=dtype)
    sizes = (m, n, k, problem.group_size) if function == "gemv_forward_cuda_new" else ()
    run = Bound(getattr(module, function), (x, kernel, scales, zeros, *sizes))

    def expected(rows: Tensor) -> Tensor:
        return reference.gemm_forward_cuda_new(rows, kernel, scales, zeros)

    peers = {"cuBLAS": _dense_product(x, problem)}
    if m <= TINYGEMM_ROWS:
        peers["tinygemm bf16"] = _tinygemm(x, _quantized(n, k, problem.group_size, dtype))
    return Prepared(run, lambda: _compare_rows(x, run, expected), peers)


def _linear4_v1(module: ModuleType, function: str, problem: Linear4, dtype: torch.dtype) -> Prepared:
    packed = _packed_v1(problem.n, problem.k, problem.group_size, dtype)
    weight = (packed.kernel, packed.scaling_factors, packed.zeros, packed.group_size)
    x = _randn(problem.m, problem.k, dtype=dtype)
    split_k_iters = (8,) if function == "gemm_forward_cuda" else ()  # what callers pass
    run = Bound(getattr(module, function), (x, *weight, *split_k_iters))

    def expected(rows: Tensor) -> Tensor:
        return reference.gemv_forward_cuda(rows, *weight)

    return Prepared(run, lambda: _compare_rows(x, run, expected), {"cuBLAS": _dense_product(x, problem)})


def _tinygemm(x: Tensor, weight: packing.QuantizedWeight) -> Bound:
    """PyTorch's 4-bit product: bf16 only, w = scale * (q - 8) + zero, scale and zero side by side."""
    activations = x.bfloat16()
    codes = torch.ops.aten._convert_weight_to_int4pack(weight.q[:, ::2] << 4 | weight.q[:, 1::2], 8)
    zeros = weight.scales.float() * (8 - weight.zero_points.float())
    scales_and_zeros = torch.stack((weight.scales.float().t(), zeros.t()), dim=-1).bfloat16().contiguous()
    return Bound(torch.ops.aten._weight_int4pack_mm, (activations, codes, weight.group_size, scales_and_zeros))


def _linear8(module: ModuleType, problem: Linear8) -> Prepared:
    n, k, m = problem.n, problem.k, problem.m
    x, weight = _int8(m, k), _int8(n, k)
    # Uniform int8 of this depth sums to some hundred thousand; these scales bring results to about 1.
    weight_scales = (1e-3 * (0.5 + torch.rand(n, device="cuda"))).half()
    token_scales = (3e-3 * (0.5 + torch.rand(m, device="cuda"))).half()
    bias = (_randn(n, dtype=torch.float16),) if problem.bias else ()
    out = _poisoned(m, n, dtype=torch.float16)
    name = "w8a8_gemm_fuse_bias_forward_cuda" if problem.bias else "w8a8_gemm_forward_cuda"
    ours, reference_function = getattr(module, name), getattr(reference, name)

    run = Bound(ours, (x, weight, weight_scales, token_scales, out, *bias))

    def compare() -> Pairs:
        run()
        for rows, scales, result in zip(*(torch.split(tensor, CHUNK_ROWS) for tensor in (x, token_scales, out))):
            expected = torch.empty_like(result, dtype=torch.float32)
            reference_function(rows, weight, weight_scales, scales, expected, *bias)
            yield result, expected

    peers = {"cuBLAS fp16": Bound(functional.linear, (x.half(), weight.half()))}
    if m > 16:
        peers["torch._int_mm"] = Bound(torch._int_mm, (x, weight.t()))
    return Prepared(run, compare, peers)


# ---- attention ------------------------------------------------------------------------------------------------------


def _attention(module: ModuleType, problem: Attention, dtype: torch.dtype) -> Prepared:
    batch, length, dim = problem.batch, problem.length, problem.head_dim
    heads, kv_heads = problem.heads, problem.kv_heads
    # Slices of one projection, as callers have them.
    projected = _randn(batch, heads + 2 * kv_heads, dim, dtype=dtype)
    q, k, v = torch.split(projected, [heads, kv_heads, kv_heads], dim=1)
    k_cache = _randn(batch, kv_heads, dim // 8, length, 8, dtype=dtype)
    v_cache = _randn(batch, kv_heads, length, dim, dtype=dtype)
    position = length - 1  # q and k are rotated there, over the whole head

    run = Bound(module.single_query_attention, (q, k, v, k_cache, v_cache, None, None, position, dim))

    def compare() -> Pairs:
        # A sequence at a time: the reference works in float32. It stores k and v in the same slot as ours did.
        out = run()
        assert isinstance(out, Tensor)
        for row, result in enumerate(out):
            one = slice(row, row + 1)
            inputs = q[one].float(), k[one].float(), v[one].float()
            caches = k_cache[one], v_cache[one]
            yield result, reference.single_query_attention(*inputs, *caches, None, None, position, dim)[0]

    queries = q.unsqueeze(2).contiguous()
    keys = k_cache.permute(0, 1, 3, 2, 4).reshape(batch, kv_heads, length, dim)

    sdpa = functools.partial(functional.scaled_dot_product_attention, enable_gqa=heads != kv_heads)
    return Prepared(run, compare, {"SDPA": Bound(sdpa, (queries, keys, v_cache))})


# ---- bandwidth-bound functions --------------------------------------------------------------------------------------


def _rms_norm(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    shape = (1, problem.tokens, problem.channels)
    x, gamma = _randn(*shape, dtype=dtype), _randn(problem.channels, dtype=dtype)
    out = _poisoned(*shape, dtype=dtype)

    run = Bound(module.layernorm_forward_cuda, (x, gamma, out, EPSILON))

    def compare() -> Pairs:
        run()
        expected = torch.empty_like(out, dtype=torch.float32)
        reference.layernorm_forward_cuda(x, gamma, expected, EPSILON)
        yield out, expected

    norm = Bound(functional.rms_norm, (x, (problem.channels,), gamma, EPSILON))
    return Prepared(run, compare, {"F.rms_norm": norm})


def _add_rms_norm(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    x, residual = (_randn(problem.tokens, problem.channels, dtype=dtype) for _ in range(2))
    gamma, out = _randn(problem.channels, dtype=dtype), _poisoned(problem.tokens, problem.channels, dtype=dtype)
    run = Bound(module.fused_add_rms_norm, (x, residual, gamma, out, EPSILON))

    def compare() -> Pairs:
        expected_sum, expected = residual.clone(), torch.empty_like(out, dtype=torch.float32)
        reference.fused_add_rms_norm(x, expected_sum, gamma, expected, EPSILON)
        run()
        yield residual, expected_sum
        yield out, expected

    def eager(x: Tensor, residual: Tensor, gamma: Tensor) -> Tensor:
        return functional.rms_norm(residual.add_(x), (problem.channels,), gamma, EPSILON)

    return Prepared(run, compare, {"add, F.rms_norm": Bound(eager, (x, residual.clone(), gamma))})


class _Quantized:
    """int8 codes and their scales, ours and the reference's; the latter's scales are float32."""

    def __init__(self, tokens: int, channels: int) -> None:
        self.codes, self.expected_codes = (_poisoned(tokens, channels, dtype=torch.int8) for _ in range(2))
        self.scales = _poisoned(tokens, dtype=torch.float16)
        self.expected_scales = _poisoned(tokens, dtype=torch.float32)

    def pair(self) -> tuple[Tensor, Tensor]:
        """What the codes stand for."""
        return self.codes * self.scales.float()[:, None], self.expected_codes * self.expected_scales[:, None]


def _layer_norm_quant(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    x = _randn(problem.tokens, problem.channels, dtype=dtype)
    gamma, beta = _randn(problem.channels, dtype=dtype), _randn(problem.channels, dtype=dtype)
    to = _Quantized(problem.tokens, problem.channels)

    run = Bound(module.rms_norm_general, (to.codes, x, gamma, beta, to.scales, EPSILON, True))

    def compare() -> Pairs:
        run()
        reference.rms_norm_general(to.expected_codes, x, gamma, beta, to.expected_scales, EPSILON, True)
        yield to.pair()

    layer_norm = Bound(functional.layer_norm, (x, (problem.channels,), gamma, beta, EPSILON))
    return Prepared(run, compare, {"F.layer_norm": layer_norm})


def _quant(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    x = _randn(problem.tokens, problem.channels, dtype=dtype)
    to = _Quantized(problem.tokens, problem.channels)

    run = Bound(module.invoke_quant, (to.codes, x, to.scales))

    def compare() -> Pairs:
        run()
        reference.invoke_quant(to.expected_codes, x, to.expected_scales)
        yield to.pair()

    def eager(x: Tensor) -> Tensor:
        scales = x.abs().amax(-1, keepdim=True) / 127
        return (x / scales).round().to(torch.int8)

    return Prepared(run, compare, {"eager": Bound(eager, (x,))})


def _silu(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    x = _randn(problem.tokens, 2 * problem.channels, dtype=dtype)

    def compare() -> Pairs:
        yield module.silu_and_mul(x), reference.silu_and_mul(x.float())

    def eager(x: Tensor) -> Tensor:
        gate, up = x.chunk(2, dim=-1)
        return functional.silu(gate) * up

    return Prepared(Bound(module.silu_and_mul, (x,)), compare, {"F.silu, mul": Bound(eager, (x,))})


def _gelu_quant(module: ModuleType, problem: Rows, dtype: torch.dtype) -> Prepared:
    x = _randn(problem.tokens, problem.channels, dtype=dtype)
    values = _poisoned(problem.tokens, problem.channels, dtype=dtype)
    to = _Quantized(problem.tokens, problem.channels)

    run = Bound(module.gelu_and_quant, (to.codes, x, to.scales, values))

    def compare() -> Pairs:
        run()
        expected = torch.empty_like(values)  # rounded to 16 bits, as contract has it that these values are quantized
        reference.gelu_and_quant(to.expected_codes, x, to.expected_scales, expected)
        yield values, expected
        yield to.pair()

    gelu = functools.partial(functional.gelu, approximate="tanh")
    return Prepared(run, compare, {"F.gelu": Bound(gelu, (x,))})


def _rotary_neox(module: ModuleType, problem: Rotary, dtype: torch.dtype) -> Prepared:
    tokens, heads, dim = problem.tokens, problem.heads, problem.head_dim
    query, key = (_randn(1, tokens, 1, heads, dim, dtype=dtype) for _ in range(2))
    positions = FIRST_POSITION + torch.arange(tokens, device="cuda")[None]
    angles = _angles(0, FIRST_POSITION + tokens, dim)
    table = torch.cat((angles.cos(), angles.sin()), dim=-1).to(dtype)

    run = Bound(module.rotary_embedding_neox, (positions, query, key, dim, table))

    def compare() -> Pairs:
        expected = query.float(), key.float()
        reference.rotary_embedding_neox(positions, *expected, dim, table)
        run()
        yield query, expected[0]
        yield key, expected[1]

    def eager(positions: Tensor, query: Tensor, key: Tensor, table: Tensor) -> tuple[Tensor, ...]:
        cosine, sine = table[positions][:, :, None, None].chunk(2, dim=-1)
        turned = []
        for heads in (query, key):
            first, second = heads.chunk(2, dim=-1)
            turned.append(torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1))
        return tuple(turned)

    return Prepared(run, compare, {"eager": Bound(eager, (positions, query, key, table))})


def _rope_with_pos(module: ModuleType, problem: Rotary, dtype: torch.dtype) -> Prepared:
    x = _randn(1, problem.tokens, problem.heads, problem.head_dim, dtype=dtype)  # as TinyChat passes it
    angles = _angles(FIRST_POSITION, problem.tokens, problem.head_dim)
    freqs = torch.cat((angles, angles), dim=-1)[:, None, None]

    run = Bound(module.fused_rope_with_pos_forward_func, (x, freqs, True))

    def compare() -> Pairs:
        out = run()
        assert isinstance(out, Tensor)
        yield out, reference.fused_rope_with_pos_forward_func(x.float(), freqs, True)

    def eager(x: Tensor, freqs: Tensor) -> Tensor:
        cosine, sine = freqs.transpose(0, 2).cos().to(dtype), freqs.transpose(0, 2).sin().to(dtype)
        first, second = x.chunk(2, dim=-1)
        return x * cosine.transpose(1, 2) + torch.cat((-second, first), dim=-1) * sine.transpose(1, 2)

    return Prepared(run, compare, {"eager": Bound(eager, (x, freqs))})


def _angles(first: int, tokens: int, dim: int) -> Tensor:
    """float32 [tokens, dim / 2], from position `first` on."""
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, device="cuda") / dim)
    return (first + torch.arange(tokens, device="cuda"))[:, None] * frequencies


_ROWS = {
    "fused_add_rms_norm": _add_rms_norm,
    "gelu_and_quant": _gelu_quant,
    "invoke_quant": _quant,
    "layernorm_forward_cuda": _rms_norm,
    "rms_norm_general": _layer_norm_quant,
    "silu_and_mul": _silu,
}
_ROTARY = {
    "fused_rope_with_pos_forward_func": _rope_with_pos,
    "rotary_embedding_neox": _rotary_neox,
}

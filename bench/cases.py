"""What is measured, as data: every case with its problem size and, where one is stated, the time it should reach.

Targets and the times of the public AWQ kernels ("reference", mid-2025, built for sm_90) were set and measured on an
NVIDIA H200 with the method of `timing`; they are shown beside what a run measures and mean nothing on another GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from roofline import Work

__all__ = [
    "CASES",
    "FUNCTIONS",
    "GROUPS",
    "LAYERS",
    "Attention",
    "Case",
    "DecoderLayer",
    "Group",
    "Linear4",
    "Linear8",
    "Problem",
    "Rotary",
    "Rows",
]

HALF_BYTES = 2  # of a float16 or bfloat16


@dataclass(frozen=True)
class Linear4:
    """`[m, k]` times a 4-bit `[n, k]` weight, 16-bit result."""

    n: int
    k: int
    m: int
    layout: int  # 1 or 2
    group_size: int = 128

    @property
    def coordinates(self) -> dict[str, str]:
        return {"N x K": f"{self.n} x {self.k}", "M": str(self.m)}

    @property
    def work(self) -> Work:
        # Per group a 16-bit scale and a zero point: scaled and 16-bit in layout v2, 4-bit in v1.
        group_bits = 32 if self.layout == 2 else 20
        weight = self.n * self.k // 2 + self.n * (self.k // self.group_size) * group_bits // 8
        return Work(weight + HALF_BYTES * self.m * (self.n + self.k), 2 * self.m * self.n * self.k)


@dataclass(frozen=True)
class Linear8:
    """int8 `[m, k]` times int8 `[n, k]`, scaled to fp16."""

    n: int
    k: int
    m: int
    bias: bool

    @property
    def coordinates(self) -> dict[str, str]:
        return {"N x K": f"{self.n} x {self.k}", "M": str(self.m), "bias": "yes" if self.bias else "no"}

    @property
    def work(self) -> Work:
        vectors = self.m + self.n * (2 if self.bias else 1)
        operands = self.k * (self.n + self.m)
        return Work(operands + HALF_BYTES * (vectors + self.m * self.n), 2 * self.m * self.n * self.k, "int8")


@dataclass(frozen=True)
class Attention:
    """One decoding step of `batch` sequences that attends to `length` positions each; the cache is full."""

    batch: int
    length: int
    heads: int
    kv_heads: int
    head_dim: int = 128

    @property
    def coordinates(self) -> dict[str, str]:
        return {"B": str(self.batch), "length": str(self.length), "H / Hk": f"{self.heads}/{self.kv_heads}"}

    @property
    def work(self) -> Work:
        cache = 2 * self.batch * self.kv_heads * self.length * self.head_dim
        ends = 2 * self.batch * (self.heads + self.kv_heads) * self.head_dim  # q, k, v and the result
        return Work(HALF_BYTES * (cache + ends), 4 * self.batch * self.heads * self.length * self.head_dim)


@dataclass(frozen=True)
class Rows:
    """An operation on `tokens` rows of `channels` values (of the result), each row by itself."""

    tokens: int
    channels: int
    value_bytes: int  # read and written per value of the result

    @property
    def coordinates(self) -> dict[str, str]:
        return {"T": str(self.tokens), "width": str(self.channels)}

    @property
    def work(self) -> Work:
        return Work(self.tokens * self.channels * self.value_bytes)


@dataclass(frozen=True)
class Rotary:
    """A rotary embedding of `tensors` tensors `[tokens, heads, head_dim]`."""

    tokens: int
    heads: int
    head_dim: int
    tensors: int
    token_bytes: int  # of angles and positions

    @property
    def coordinates(self) -> dict[str, str]:
        return {"T": str(self.tokens), "width": f"{self.heads} x {self.head_dim}"}

    @property
    def work(self) -> Work:
        values = self.tensors * self.heads * self.head_dim
        return Work(self.tokens * (2 * HALF_BYTES * values + self.token_bytes))


@dataclass(frozen=True)
class DecoderLayer:
    """One decoding step of `batch` sequences of `length` positions through a layer; the sizes are Llama-3-8B's.

    Each norm starts with the addition of the residual stream.
    """

    batch: int
    length: int
    hidden: int = 4096
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 128
    intermediate: int = 14336

    @property
    def name(self) -> str:
        """As a case's name: `layer/B=1,length=4096`."""
        return f"layer/B={self.batch},length={self.length}"

    @property
    def coordinates(self) -> dict[str, str]:
        return {"B": str(self.batch), "length": str(self.length)}

    @property
    def products(self) -> tuple[tuple[str, tuple[int, int]], ...]:
        """Name, N and K of each matrix product."""
        projected = (self.heads + 2 * self.kv_heads) * self.head_dim
        return (
            ("qkv", (projected, self.hidden)),
            ("output", (self.hidden, self.heads * self.head_dim)),
            ("gate and up", (2 * self.intermediate, self.hidden)),
            ("down", (self.hidden, self.intermediate)),
        )

    @property
    def steps(self) -> dict[str, Work]:
        """The launches in their order."""
        norm = Rows(self.batch, self.hidden, 8).work
        products = {name: Linear4(n, k, self.batch, layout=2).work for name, (n, k) in self.products}
        return {
            "first norm": norm,
            "qkv": products["qkv"],
            "attention": Attention(self.batch, self.length, self.heads, self.kv_heads, self.head_dim).work,
            "output": products["output"],
            "second norm": norm,
            "gate and up": products["gate and up"],
            "silu and multiply": Rows(self.batch, self.intermediate, 6).work,
            "down": products["down"],
        }


Problem = Linear4 | Linear8 | Attention | Rows | Rotary


@dataclass(frozen=True)
class Group:
    """A table of the report."""

    title: str
    note: str
    peer_columns: bool = True  # a column per peer; else one column, the operation named in each cell
    show_function: bool = False


GROUPS = {
    "w4a16": Group(
        "4-bit GEMV and GEMM, layout v2, G = 128",
        "Rows of M up to 7 run gemv_forward_cuda_new, the others gemm_forward_cuda_new. cuBLAS multiplies by the "
        "dequantized weight; tinygemm is PyTorch's own 4-bit product, in bf16.",
    ),
    "w4a16_v1": Group("4-bit GEMV and GEMM, layout v1, G = 128", "cuBLAS multiplies by the dequantized weight."),
    "w8a8": Group(
        "8-bit GEMM with fused scales",
        "torch._int_mm stops at int32, without the scaling, and takes more than 16 rows only; cuBLAS fp16 is the "
        "product of the same size in fp16. The floor takes int8 at twice the fp16 rate.",
    ),
    "attention": Group(
        "Decode attention, D = 128",
        "Ours also rotates q and k and stores k and v in the cache; SDPA reads [B, Hk, L, D] caches and does neither.",
    ),
    "rows": Group(
        "Bandwidth-bound functions",
        "The PyTorch operation named is the nearest there is: F.layer_norm and F.gelu leave out the int8 "
        "quantization, eager stands for a few operations in a row.",
        peer_columns=False,
        show_function=True,
    ),
}


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        group: a key of GROUPS.
        function: its name in `module`.
        problem: the sizes.
        target_us: microseconds it should take on an H200.
        reference_us: microseconds the public AWQ kernel took there.
        module: the extension module.
    """

    group: str
    function: str
    problem: Problem
    target_us: float | None = None
    reference_us: float | None = None
    module: str = "awq_inference_engine"

    @property
    def name(self) -> str:
        """Unique, without spaces: `w4a16/gemm_forward_cuda_new/N,K=28672x4096,M=16`."""
        sizes = ",".join(
            f"{key.replace(' x ', ',').replace(' ', '')}={value.replace(' ', '')}"
            for key, value in self.problem.coordinates.items()
        )
        owner = "" if self.module == "awq_inference_engine" else f"{self.module}."
        return f"{self.group}/{owner}{self.function}/{sizes}"

    def on(self, gpu: str) -> Case:
        """The case for a GPU of that name: figures of an H200 say nothing about another."""
        return self if "H200" in gpu else dataclasses.replace(self, target_us=None, reference_us=None)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The 16-bit types that the function takes."""
        return ("float16",) if self.function in FP16_ONLY else ("float16", "bfloat16")


FP16_ONLY = {
    "gelu_and_quant",
    "gemm_forward_cuda",
    "gemv_forward_cuda",
    "w8a8_gemm_forward_cuda",
    "w8a8_gemm_fuse_bias_forward_cuda",
}

GEMV_MAX_ROWS = 7  # callers use the GEMV of layout v2 up to here


def _w4a16() -> Iterator[Case]:
    # (N, K): {M: (target, reference)}; sizes without figures fill the curves of the plots.
    table: dict[tuple[int, int], dict[int, tuple[float | None, float | None]]] = {
        (28672, 4096): {
            1: (19, 29.7),
            7: (22, 70.2),
            8: (None, None),
            16: (24, 50.1),
            64: (38, 140.1),
            256: (105, 223.9),
            1024: (350, 978),
            4096: (1480, 3584),
            16384: (6000, 14140),
        },
        (4096, 14336): {
            1: (11, 17.3),
            7: (13, 48.2),
            8: (None, None),
            16: (14, 45.9),
            64: (None, None),
            256: (None, None),
            1024: (178, 454),
            4096: (700, 1839),
        },
        (6144, 4096): {
            1: (7.5, 11.8),
            7: (None, None),
            8: (None, None),
            16: (9, 20.6),
            64: (None, None),
            256: (None, None),
            1024: (None, None),
            4096: (315, 761),
        },
        (4096, 4096): {
            1: (6.5, 8.7),
            7: (None, None),
            8: (None, None),
            16: (None, None),
            64: (None, None),
            256: (None, None),
            1024: (None, None),
            4096: (210, 527),
        },
    }
    # The products of a layer of Llama-3-70B (hidden 8192, intermediate 28672) and of Qwen2.5-7B (3584, 18944), and of
    # one of two GPUs that share it; down to where another size of the list takes its place.
    others = [
        *((10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672), (28672, 8192), (8192, 14336)),
        *((4608, 3584), (3584, 3584), (37888, 3584), (3584, 18944), (18944, 3584), (3584, 9472)),
    ]
    table |= {sizes: dict.fromkeys((1, 8, 16, 64, 1024), (None, None)) for sizes in others}
    for (n, k), rows in table.items():
        for m, (target, reference) in rows.items():
            function = "gemv_forward_cuda_new" if m <= GEMV_MAX_ROWS else "gemm_forward_cuda_new"
            yield Case("w4a16", function, Linear4(n, k, m, layout=2), target, reference)


def _w4a16_v1() -> Iterator[Case]:
    yield Case("w4a16_v1", "gemv_forward_cuda", Linear4(28672, 4096, 1, layout=1), 20, 43.2)
    yield Case("w4a16_v1", "gemm_forward_cuda", Linear4(28672, 4096, 2048, layout=1), 800, 2915)


def _w8a8() -> Iterator[Case]:
    # (N, K, M): target, reference without and with bias. With bias and M <= 128 the reference's results are wrong,
    # and its times are not shown.
    table: dict[tuple[int, int, int], tuple[float, float, float | None]] = {
        (28672, 4096, 16): (34, 49.8, None),
        (28672, 4096, 128): (45, 76.8, None),
        (28672, 4096, 1024): (220, 352, 505),
        (28672, 4096, 4096): (850, 1425, 1996),
        (28672, 4096, 16384): (3400, 5646, 7736),
        (4096, 14336, 4096): (410, 666, 905),
        (4096, 4096, 128): (11, 21.4, None),
    }
    for (n, k, m), (target, plain, biased) in table.items():
        yield Case("w8a8", "w8a8_gemm_forward_cuda", Linear8(n, k, m, bias=False), target, plain)
        yield Case("w8a8", "w8a8_gemm_fuse_bias_forward_cuda", Linear8(n, k, m, bias=True), target, biased)


def _attention() -> Iterator[Case]:
    # (B, length, H, Hk): target, reference
    table: dict[tuple[int, int, int, int], tuple[float | None, float | None]] = {
        (1, 512, 32, 32): (9, 40.4),
        (1, 2048, 32, 32): (None, None),
        (1, 4096, 32, 32): (22, 124.7),
        (1, 8192, 32, 32): (None, None),
        (1, 32768, 32, 32): (140, 884),
        (8, 2048, 32, 32): (72, 149),
        (64, 4096, 32, 32): (960, 1896),
        (1, 512, 32, 8): (8, 40.0),
        (1, 2048, 32, 8): (None, None),
        (1, 4096, 32, 8): (11, 118.5),
        (1, 8192, 32, 8): (None, None),
        (1, 32768, 32, 8): (40, 875),
        (8, 8192, 32, 8): (74, 451),
        (32, 2048, 32, 8): (74, 293),
        (64, 4096, 32, 8): (250, 1748),
    }
    for sizes, (target, reference) in table.items():
        yield Case("attention", "single_query_attention", Attention(*sizes), target, reference)
    yield Case("attention", "single_query_attention", Attention(1, 512, 32, 8), 8, module="ft_attention")


def _rows() -> Iterator[Case]:
    one_token_us = 7.0
    # function: value_bytes, channels, {T: (target, reference)}
    table: dict[str, tuple[int, int, dict[int, tuple[float | None, float | None]]]] = {
        "layernorm_forward_cuda": (4, 4096, {4096: (20, 51.7), 16384: (73, 178)}),
        "fused_add_rms_norm": (8, 4096, {4096: (None, None)}),
        "rms_norm_general": (3, 4096, {4096: (16, 87.8)}),
        "invoke_quant": (3, 4096, {16384: (56, 192)}),
        "silu_and_mul": (6, 14336, {4096: (97, 148)}),
        "gelu_and_quant": (5, 14336, {4096: (85, 236)}),
    }
    for function, (value_bytes, channels, tokens) in table.items():
        yield Case("rows", function, Rows(1, channels, value_bytes), one_token_us)
        for count, (target, reference) in tokens.items():
            yield Case("rows", function, Rows(count, channels, value_bytes), target, reference)

    # function: tensors, bytes of positions (int64) and angles (16-bit table; fp32), target, reference
    rotary: dict[str, tuple[int, int, float, float]] = {
        "rotary_embedding_neox": (2, 8 + 128 * HALF_BYTES, 38, 70.3),
        "fused_rope_with_pos_forward_func": (1, 128 * 4, 20, 37.7),
    }
    for function, (tensors, token_bytes, target, reference) in rotary.items():
        yield Case("rows", function, Rotary(1, 32, 128, tensors, token_bytes), one_token_us)
        yield Case("rows", function, Rotary(4096, 32, 128, tensors, token_bytes), target, reference)


LAYERS = (DecoderLayer(1, 4096), DecoderLayer(8, 4096))
CASES = (*_w4a16(), *_w4a16_v1(), *_w8a8(), *_attention(), *_rows())
FUNCTIONS = frozenset(case.function for case in CASES)

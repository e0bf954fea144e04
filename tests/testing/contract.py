"""The contract of both modules as data: every function's arguments, their dtypes and shapes.

A shape is a tuple of expressions over size symbols, evaluated with `DEFAULT_SIZES` or what a test overrides. Two
arguments whose shapes share a symbol must agree, so an error about it may name either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

HALF = (torch.float16, torch.bfloat16)
FLOATS = (torch.float16, torch.bfloat16, torch.float32)
ALL_FLOATS = (*FLOATS, torch.float64)
FP16 = (torch.float16,)
INT8 = (torch.int8,)
REQUIRED = object()


@dataclass(frozen=True)
class Argument:
    """One argument. Tensors have `dtypes` (empty: the first tensor's `like`) and a shape, others a value."""

    name: str
    kind: str  # "tensor", "optional tensor", "int", "float", "bool"
    dtypes: tuple[torch.dtype, ...] = ()
    like: str = ""  # the argument whose dtype this one shares
    shape: tuple[str, ...] = ()
    free: tuple[int, ...] = ()  # dimensions of any size: leading ones, and those that decide a size themselves
    any_rank: bool = False  # leading dimensions may be flattened or split
    strided: bool = False  # need not be contiguous
    written: bool = False
    value: Any = None  # of an argument that is no tensor; a string is a size expression
    default: Any = REQUIRED

    @property
    def is_tensor(self) -> bool:
        return self.kind.endswith("tensor")

    @property
    def symbols(self) -> frozenset[str]:
        """Size symbols in the shape, or in the value."""
        expressions = self.shape if self.is_tensor else (self.value if isinstance(self.value, str) else "",)
        return frozenset(name for text in expressions for name in re.findall(r"[A-Za-z]\w*", text))


@dataclass(frozen=True)
class Function:
    """One function; `returns` tells whether it allocates its result."""

    name: str
    arguments: tuple[Argument, ...]
    returns: bool

    def __getitem__(self, name: str) -> Argument:
        return next(argument for argument in self.arguments if argument.name == name)

    @property
    def tensors(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.is_tensor)

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The dtypes of the activations."""
        return next((a.dtypes for a in self.tensors if len(a.dtypes) > 1), FP16)


def _tensor(name: str, dtypes: Any, shape: str, **rest: Any) -> Argument:
    like = dtypes if isinstance(dtypes, str) else ""
    dims = tuple(shape.split())
    return Argument(name, "tensor", () if like else dtypes, like, dims, **rest)


def _scalar(name: str, kind: str, value: Any, default: Any = REQUIRED) -> Argument:
    return Argument(name, kind, value=value, default=default)


def _table(functions: Iterable[Function]) -> dict[str, Function]:
    return {function.name: function for function in functions}


INT16, INT32, INT64 = (torch.int16,), (torch.int32,), (torch.int64,)

FUNCTIONS = _table(
    [
        Function(
            "gemv_forward_cuda_new",
            (
                _tensor("in_feats", HALF, "M K", any_rank=True),
                _tensor("kernel", INT16, "N//4 K"),
                _tensor("scaling_factors", "in_feats", "P N"),
                _tensor("zeros", "in_feats", "P N"),
                _scalar("m", "int", "M"),
                _scalar("n", "int", "N"),
                _scalar("k", "int", "K"),
                _scalar("group_size", "int", "G"),
            ),
            returns=True,
        ),
        Function(
            "gemm_forward_cuda_new",
            (
                _tensor("in_feats", HALF, "M K", any_rank=True, free=(0,)),
                _tensor("kernel", INT16, "N//4 K"),
                _tensor("scales", "in_feats", "P N"),
                _tensor("zeros", "in_feats", "P N"),
            ),
            returns=True,
        ),
        Function(
            "gemv_forward_cuda",
            (
                _tensor("in_feats", FP16, "M K", any_rank=True, free=(0,)),
                _tensor("kernel", INT32, "N K//8"),
                _tensor("scaling_factors", FP16, "N P"),
                _tensor("zeros", INT32, "N P//8"),
                _scalar("group_size", "int", "G"),
            ),
            returns=True,
        ),
        Function(
            "gemm_forward_cuda",
            (
                _tensor("in_feats", FP16, "M K", any_rank=True, free=(0,)),
                _tensor("kernel", INT32, "N K//8"),
                _tensor("scaling_factors", FP16, "N P"),
                _tensor("zeros", INT32, "N P//8"),
                _scalar("group_size", "int", "G"),
                _scalar("split_k_iters", "int", 8),
            ),
            returns=True,
        ),
        Function(
            "layernorm_forward_cuda",
            (
                _tensor("input", FLOATS, "B S C", any_rank=True),
                _tensor("gamma", "input", "C"),
                _tensor("out", "input", "B S C", any_rank=True, written=True),
                _scalar("eps", "float", 1e-5),
            ),
            returns=False,
        ),
        Function(
            "fused_add_rms_norm",
            (
                _tensor("input", FLOATS, "B S C", any_rank=True),
                _tensor("residual", "input", "B S C", any_rank=True, written=True),
                _tensor("gamma", "input", "C"),
                _tensor("out", "input", "B S C", any_rank=True, written=True),
                _scalar("eps", "float", 1e-5),
            ),
            returns=False,
        ),
        Function(
            "rotary_embedding_neox",
            (
                _tensor("positions", INT64, "B S", any_rank=True),
                _tensor("query", ALL_FLOATS, "B S 1 H D", free=(2, 3), any_rank=True, strided=True, written=True),
                _tensor("key", "query", "B S 1 Hk D", free=(2, 3), any_rank=True, strided=True, written=True),
                _scalar("head_size", "int", "D"),
                _tensor("cos_sin_cache", "query", "T R", free=(0,)),
            ),
            returns=False,
        ),
        Function(
            "fused_rope_with_pos_forward_func",
            (
                _tensor("input", FLOATS, "S B H D", free=(2, 3), strided=True),
                _tensor("freqs", (torch.float32,), "B S 1 R", free=(2,), any_rank=True),
                _scalar("transpose_output_memory", "bool", False),
            ),
            returns=True,
        ),
        Function(
            "w8a8_gemm_forward_cuda",
            (
                _tensor("in_feats", INT8, "M K", any_rank=True),
                _tensor("kernel", INT8, "N K"),
                _tensor("wscales", FP16, "N", any_rank=True),
                _tensor("ascales", FP16, "M", any_rank=True),
                _tensor("out_feats", FP16, "M N", any_rank=True, written=True),
            ),
            returns=False,
        ),
        Function(
            "w8a8_gemm_fuse_bias_forward_cuda",
            (
                _tensor("in_feats", INT8, "M K", any_rank=True),
                _tensor("kernel", INT8, "N K"),
                _tensor("wscales", FP16, "N", any_rank=True),
                _tensor("ascales", FP16, "M", any_rank=True),
                _tensor("out_feats", FP16, "M N", any_rank=True, written=True),
                _tensor("bias", FP16, "N", any_rank=True),
            ),
            returns=False,
        ),
        Function(
            "invoke_quant",
            (
                _tensor("out", INT8, "B S C", any_rank=True, written=True),
                _tensor("input", FLOATS, "B S C", any_rank=True),
                _tensor("scale", FP16, "B*S", any_rank=True, written=True),
            ),
            returns=False,
        ),
        Function(
            "rms_norm_general",
            (
                _tensor("out", INT8, "B S C", any_rank=True, written=True),
                _tensor("input", FLOATS, "B S C", any_rank=True),
                _tensor("weight", "input", "C", any_rank=True),
                _tensor("bias", "input", "C", any_rank=True),
                _tensor("scaling", FP16, "B*S", any_rank=True, written=True),
                _scalar("epsilon", "float", 1e-5),
                _scalar("use_per_token_quant", "bool", True, True),
            ),
            returns=False,
        ),
        Function(
            "silu_and_mul",
            (_tensor("input", FLOATS, "B S 2*C", any_rank=True, free=(0, 1)),),
            returns=True,
        ),
        Function(
            "gelu_and_quant",
            (
                _tensor("out", INT8, "B S C", any_rank=True, written=True),
                _tensor("input", FP16, "B S C", any_rank=True),
                _tensor("scale_out", FP16, "B*S", any_rank=True, written=True),
                _tensor("tmp", FP16, "B S C", any_rank=True, written=True),
            ),
            returns=False,
        ),
        Function(
            "single_query_attention",
            (
                _tensor("q", FLOATS, "B H D", strided=True),
                _tensor("k", "q", "B Hk D", strided=True),
                _tensor("v", "q", "B Hk D", strided=True),
                _tensor("k_cache", "q", "B Hk D//X L X", written=True),
                _tensor("v_cache", "q", "B Hk L D", written=True),
                Argument("length_per_sample_", "optional tensor", INT32, shape=("B",)),
                Argument("alibi_slopes_", "optional tensor", (torch.float32,), shape=("H",)),
                _scalar("timestep", "int", "L+4"),
                _scalar("rotary_embedding_dim", "int", 32, 0),
                _scalar("rotary_base", "float", 10000.0, 10000.0),
                _scalar("rotary_scale", "float", 1.0, 1.0),
                _scalar("neox_rotary_style", "bool", True, True),
            ),
            returns=True,
        ),
    ]
)

# What else awq_inference_engine exports: functions without tensors, which no operator wraps.
SETTINGS = ("set_constant_weights",)

# (module, function) of everything exported that works on tensors.
EXPORTS = [("awq_inference_engine", name) for name in FUNCTIONS] + [("ft_attention", "single_query_attention")]

# Small, all different where they may be, and within every kernel's divisibility rules.
DEFAULT_SIZES = {
    "M": 3,
    "N": 64,
    "K": 256,
    "G": 128,
    "P": 8,  # groups with padding
    "B": 2,
    "S": 3,
    "C": 40,
    "H": 4,
    "Hk": 2,
    "D": 64,
    "L": 16,
    "R": 32,  # rotated dimensions
    "T": 50,  # rows of the table of cosines and sines
}


def make_arguments(
    name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu", **sizes: int
) -> dict[str, Any]:
    """A valid set of arguments, by name and in order, filled with random values.

    `dtype` is that of the activations, the first allowed one by default.
    """
    function = FUNCTIONS[name]
    dtype = dtype or function.dtypes[0]
    known = DEFAULT_SIZES | {"X": 4 if dtype == torch.float32 else 8} | sizes
    made: dict[str, Any] = {}
    main = next((a.name for a in function.tensors if len(a.dtypes) > 1), "")
    for argument in function.arguments:
        if argument.is_tensor:
            own = dtype if argument.name == main or argument.like else argument.dtypes[0]
            shape = [size_of(text, known) for text in argument.shape]
            made[argument.name] = random_tensor(shape, own, device)
        else:
            made[argument.name] = size_of(argument.value, known) if isinstance(argument.value, str) else argument.value
    if "positions" in made:
        made["positions"] = torch.randint(0, known["T"], made["positions"].shape, device=device)
    if "length_per_sample_" in made:
        made["length_per_sample_"] = torch.randint(0, known["L"] + 5, (known["B"],), dtype=torch.int32, device=device)
    return made


def size_of(expression: str, sizes: dict[str, int]) -> int:
    """The value of a size expression such as `2*C` or `N//4`."""
    return int(eval(expression, {"__builtins__": {}}, dict(sizes)))  # expressions of this file alone


def random_tensor(shape: list[int], dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """Full range for integers; for floats values in 1/64..1/32, harmless as data and as scales."""
    if dtype.is_floating_point:
        return ((torch.rand(shape, device=device) + 1) / 64).to(dtype)
    info = torch.iinfo(dtype)
    return torch.randint(max(info.min, -(2**31)), min(info.max, 2**31 - 1), shape, dtype=dtype, device=device)

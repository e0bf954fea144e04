"""A few small calls of every function, for compute-sanitizer.

    compute-sanitizer --tool memcheck python3 tests/sanitizer_subset.py
    compute-sanitizer --tool racecheck python3 tests/sanitizer_subset.py --functions silu_and_mul,invoke_quant

The sizes are small, because the sanitizer slows kernels down a hundredfold and more: one row and many, ragged edges,
split work. Results are compared with the references loosely, since what is tested is memory; the numeric tests are
elsewhere. Which configurations of the matrix products these sizes reach is for the tuning tables to say:
`python3 bench/tune.py --check` runs all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

# Every tensor in an allocation of its own: an access past the end of one is then an access outside of any.
os.environ.setdefault("PYTORCH_NO_CUDA_MEMORY_CACHING", "1")
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import torch  # noqa: E402

from awq_kernels import packing, reference  # noqa: E402
from testing.contract import FUNCTIONS, make_arguments  # noqa: E402

Sizes = dict[str, int]


def products(rows: tuple[int, ...], shapes: tuple[Sizes, ...]) -> list[Sizes]:
    return [{"M": m} | shape for shape in shapes for m in rows]


V2_SHAPES: tuple[Sizes, ...] = (
    {"N": 68, "K": 256, "G": 128},
    {"N": 132, "K": 640, "G": 64},
    {"N": 64, "K": 2048, "G": 32},
    {"N": 20, "K": 4480, "G": 128},
)
V1_SHAPES: tuple[Sizes, ...] = (
    {"N": 68, "K": 256, "G": 128},
    {"N": 132, "K": 640, "G": 64},
    {"N": 20, "K": 4480, "G": 128},
)
# So many tiles that none is split, and more steps along K than any ring of shared memory has stages.
RING_CASES = products((20, 40, 100, 130), ({"N": 17160, "K": 1088, "G": 64},))
TOKENS: list[Sizes] = [{"B": 1, "S": 1, "C": 33}, {"B": 2, "S": 3, "C": 520}, {"B": 1, "S": 2, "C": 9001}]

# N of 100 is what only the kernel for all GPUs takes.
W8A8: list[Sizes] = [
    *products((1, 17, 130), ({"N": 72, "K": 144}, {"N": 100, "K": 144}, {"N": 264, "K": 1024})),
    *products((1, 17, 33), ({"N": 8456, "K": 144},)),
    {"M": 130, "N": 5640, "K": 144},
    {"M": 257, "N": 7040, "K": 144},
]

# On Hopper the tensor copy engine writes their results. initcheck does not see its writes (a kernel that does nothing
# else is reported as well) and would take every element for uninitialized. So the memory holds NaN beforehand: an
# element that is not written fails the comparison.
WRITTEN_BY_COPIES = ("gemm_forward_cuda", "gemm_forward_cuda_new")

CASES: dict[str, list[Sizes]] = {
    "gemv_forward_cuda_new": products((1, 2, 7, 9), V2_SHAPES),
    "gemm_forward_cuda_new": products((1, 8, 16, 40, 130), V2_SHAPES) + RING_CASES,
    "gemv_forward_cuda": products((1, 3, 9), V1_SHAPES),
    "gemm_forward_cuda": products((1, 16, 130), V1_SHAPES) + RING_CASES,
    "layernorm_forward_cuda": TOKENS,
    "fused_add_rms_norm": TOKENS,
    "rotary_embedding_neox": [{}, {"B": 1, "S": 1, "H": 1, "Hk": 1, "D": 80, "R": 20}],
    "fused_rope_with_pos_forward_func": [
        {},
        {"S": 5, "B": 1, "H": 3, "D": 7, "R": 2},
        {"S": 1100, "B": 1, "H": 3, "D": 16, "R": 16},
    ],
    "w8a8_gemm_forward_cuda": W8A8,
    "w8a8_gemm_fuse_bias_forward_cuda": W8A8,
    "invoke_quant": TOKENS,
    "rms_norm_general": TOKENS,
    "silu_and_mul": TOKENS,
    "gelu_and_quant": TOKENS,
    "single_query_attention": [
        {},
        {"B": 1, "H": 8, "Hk": 1, "D": 128, "L": 700},
        {"B": 3, "H": 3, "Hk": 3, "D": 48, "L": 33},
        {"B": 2, "H": 8, "Hk": 2, "D": 256, "L": 1},
    ],
}


@contextlib.contextmanager
def new_memory_is_nan() -> Iterator[None]:
    """Inside, PyTorch fills the memory of every new tensor with NaN, or with the largest integer."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def check(name: str, dtype: torch.dtype, sizes: Sizes, device: torch.device) -> None:
    """One call; written and returned tensors within a hundredth of the reference (two steps for int8)."""
    result_memory = new_memory_is_nan if name in WRITTEN_BY_COPIES else contextlib.nullcontext
    if "G" in sizes:
        sizes = sizes | {"P": packing.padded_groups(sizes["K"], sizes["G"])}
    arguments: dict[str, Any] = make_arguments(name, dtype, device, **sizes)
    copies = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    modules = ["awq_inference_engine"] + (["ft_attention"] if name == "single_query_attention" else [])
    expected = getattr(reference, name)(**copies)
    for module in modules:
        given = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
        with result_memory():
            result = getattr(importlib.import_module(module), name)(**given)
        pairs = [(given[a.name], copies[a.name]) for a in FUNCTIONS[name].arguments if a.written]
        pairs += [] if result is None else [(result, expected)]
        for actual, wanted in pairs:
            a, w = actual.double(), wanted.double()
            allowed = 2.0 if actual.dtype == torch.int8 else 0.01 * float(w.abs().max()) + 1e-6
            worst = float((a - w).abs().max())
            if not worst <= allowed:
                raise SystemExit(f"{module}.{name} {dtype} {sizes}: off by {worst}, allowed {allowed}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Small calls of every function, for compute-sanitizer.")
    parser.add_argument("--functions", default=",".join(FUNCTIONS), help="comma-separated names; all by default")
    names = parser.parse_args().functions.split(",")
    unknown = set(names) - set(FUNCTIONS)
    if unknown:
        parser.error(f"unknown functions: {', '.join(sorted(unknown))}; known: {', '.join(FUNCTIONS)}")
    if not torch.cuda.is_available():
        sys.exit("sanitizer_subset: no CUDA device")
    torch.manual_seed(1)
    calls = 0
    for name in names:
        for dtype in FUNCTIONS[name].dtypes:
            for sizes in CASES[name]:
                check(name, dtype, sizes, torch.device("cuda"))
                calls += 1
    torch.cuda.synchronize()
    print(f"sanitizer_subset: {calls} cases of {len(names)} functions passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

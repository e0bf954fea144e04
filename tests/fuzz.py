"""Calls every function with random wrong arguments: only Python exceptions may come of it.

    python3 tests/fuzz.py --calls 100000 --seed 7 --device cuda

Each call starts from a valid set and changes up to three arguments: values of other types, tensors of other dtypes,
shapes, strides and devices, numbers at the ends of their ranges. A call may succeed; whatever happens, the process
must live, and on a GPU the context must stay usable (a synchronization after every batch does not raise). A crash
prints nothing by itself: the last line printed names the batch to repeat.
"""

from __future__ import annotations

import argparse
import importlib
import math
import pathlib
import random
import sys
from collections import Counter
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import torch  # noqa: E402

from testing.contract import DEFAULT_SIZES, EXPORTS, FUNCTIONS, make_arguments, random_tensor  # noqa: E402

BATCH = 200
DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int8,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
    torch.complex64,
]
OBJECTS: list[Any] = [None, "text", b"bytes", 1, -1, 2.5, True, [], [1.0], {}, object(), torch, math.nan]
INTEGERS = [
    0,
    1,
    -1,
    2,
    7,
    8,
    31,
    32,
    63,
    64,
    127,
    128,
    129,
    2**15,
    2**31 - 1,
    2**31,
    -(2**31),
    2**63 - 1,
    -(2**63),
    2**64,
]
REALS = [0.0, -0.0, 1.0, -1.0, 1e-45, 1e-5, 1e38, 1e308, math.inf, -math.inf, math.nan]
MOST_ELEMENTS = 1 << 20  # per tensor: a batch stays within a few megabytes


def fuzzed_tensor(rng: random.Random, tensor: torch.Tensor, device: str) -> Any:
    """The tensor with one thing about it changed."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice(OBJECTS)
    if kind == 1:
        return tensor.to(rng.choice(DTYPES))
    if kind == 2:
        shape = [rng.choice([0, 1, 2, 3, 4, 8, 16, 31, 64, 65]) for _ in range(rng.randrange(7))]
        while math.prod(shape) > MOST_ELEMENTS:
            shape.pop()
        return random_tensor(shape, tensor.dtype, tensor.device)
    if kind == 3 and tensor.dim():  # one size changed
        shape = list(tensor.shape)
        dim = rng.randrange(len(shape))
        shape[dim] = rng.choice([0, 1, shape[dim] + 1, max(shape[dim] - 1, 0), 2 * shape[dim]])
        return random_tensor(shape, tensor.dtype, tensor.device)
    if kind == 4:
        return tensor.unsqueeze(rng.randrange(tensor.dim() + 1)) if rng.random() < 0.5 else tensor.flatten()
    if kind == 5 and tensor.dim():  # other strides
        return rng.choice(
            [
                lambda: torch.stack((tensor, tensor), -1)[..., 0],
                lambda: tensor.transpose(0, -1),
                lambda: tensor[..., :0],
                lambda: tensor[:1].expand(tensor.shape) if tensor.shape[0] else tensor,
                lambda: (
                    tensor.flatten()[:1].expand(tensor.numel()).view(tensor.shape) if tensor.numel() == 1 else tensor
                ),
            ]
        )()
    if kind == 6:
        return rng.choice([tensor.cpu(), tensor.to(device), tensor.to("meta")])
    if kind == 7:  # unaligned storage
        wide = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
        return wide[1:].view(tensor.shape).copy_(tensor)
    if kind == 8 and tensor.numel():  # values at the ends
        if tensor.dtype.is_floating_point:
            return torch.full_like(tensor, rng.choice([math.nan, math.inf, -math.inf, 0.0, 65504.0]))
        info = torch.iinfo(tensor.dtype)
        return torch.full_like(tensor, rng.choice([info.min, info.max, -1, 0]))
    if kind == 9:
        return rng.choice(
            [tensor.to_sparse, tensor.clone().requires_grad_ if tensor.is_floating_point() else tensor.clone]
        )()
    return tensor


def fuzzed_scalar(rng: random.Random, value: Any) -> Any:
    choices = OBJECTS if rng.random() < 0.3 else REALS if isinstance(value, float) else [*INTEGERS, True, False]
    return rng.choice(choices)


def fuzzed_arguments(rng: random.Random, name: str, device: str) -> dict[str, Any]:
    """A valid set with up to three arguments changed."""
    function = FUNCTIONS[name]
    sizes = {key: rng.choice([0, 1, 2, 5]) for key in ("M", "B", "S") if key in DEFAULT_SIZES and rng.random() < 0.3}
    arguments = make_arguments(name, rng.choice(function.dtypes), device, **sizes)
    for argument in rng.sample(function.arguments, min(rng.randrange(1, 4), len(function.arguments))):
        value = arguments[argument.name]
        if isinstance(value, torch.Tensor):
            arguments[argument.name] = fuzzed_tensor(rng, value, device)
        else:
            arguments[argument.name] = fuzzed_scalar(rng, value)
    if rng.random() < 0.02:
        arguments.pop(rng.choice(list(arguments)))
    if rng.random() < 0.02:
        arguments["surplus"] = 1
    return arguments


def fuzz(calls: int, seed: int, device: str, functions: list[tuple[str, str]], verbose: bool = False) -> Counter[str]:
    """Makes the calls; returns how often each function succeeded or raised which exception."""
    outcomes: Counter[str] = Counter()
    for batch in range(math.ceil(calls / BATCH)):
        if verbose:
            print(f"batch {batch}: --seed {seed + batch} --calls {BATCH} --device {device}", flush=True)
        rng = random.Random(seed + batch)
        torch.manual_seed(seed + batch)
        for _ in range(min(BATCH, calls - batch * BATCH)):
            module, name = rng.choice(functions)
            function = getattr(importlib.import_module(module), name)
            arguments = fuzzed_arguments(rng, name, device)
            try:
                function(**arguments)
                outcomes[f"{module}.{name}: returned"] += 1
            except Exception as error:  # anything that Python can catch is an answer
                named = str(error).startswith((f"{name}:", f"{name}():"))
                outcomes[f"{module}.{name}: {type(error).__name__}{'' if named else ' without a name'}"] += 1
        if device != "cpu":
            torch.cuda.synchronize()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--functions", help="comma-separated names; all by default")
    parser.add_argument("--module", help="awq_inference_engine or ft_attention; both by default")
    options = parser.parse_args()
    names = options.functions.split(",") if options.functions else list(FUNCTIONS)
    functions = [export for export in EXPORTS if export[1] in names and options.module in (None, export[0])]
    if not functions:
        parser.error(f"no such function; known: {', '.join(FUNCTIONS)}")
    outcomes = fuzz(options.calls, options.seed, options.device, functions, verbose=True)
    for outcome in sorted(outcomes):
        print(f"{outcomes[outcome]:8d}  {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

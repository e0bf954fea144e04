"""Every wrong argument raises, and the message names it. Needs no GPU: the device is what is checked last.

The cases come from the table in testing/contract.py, one per argument and kind of mistake, and from a list of values
that only a particular function refuses. A message reads `<function>: <argument> must be ..., got ...`. Where two
arguments contradict each other either may be named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from testing.contract import EXPORTS, FUNCTIONS, REQUIRED, Argument, Function, make_arguments, random_tensor

Arguments = dict[str, Any]
WRONG_DTYPES = (torch.float64, torch.float32, torch.int32, torch.bool)


class Mistake:
    """One change to a valid call, the arguments of which one must be named, and the type of the exception."""

    def __init__(
        self,
        function: str,
        label: str,
        change: Callable[[Arguments], None],
        named: set[str],
        error: type[Exception] = ValueError,
    ) -> None:
        self.function, self.label, self.change, self.named, self.error = function, label, change, named, error

    def __repr__(self) -> str:
        return f"{self.function}-{self.label}"


def replaced(name: str, value: Any) -> Callable[[Arguments], None]:
    def change(arguments: Arguments) -> None:
        arguments[name] = value

    return change


def transformed(name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Arguments], None]:
    def change(arguments: Arguments) -> None:
        arguments[name] = function(arguments[name])

    return change


def resized(name: str, dim: int) -> Callable[[Arguments], None]:
    def grow(tensor: torch.Tensor) -> torch.Tensor:
        shape = list(tensor.shape)
        shape[dim] += 1
        return random_tensor(shape, tensor.dtype)

    return transformed(name, grow)


def not_contiguous(tensor: torch.Tensor) -> torch.Tensor:
    """The same values, every second element of a wider tensor."""
    return torch.stack((tensor, tensor), dim=-1)[..., 0]


def companions(function: Function, argument: Argument) -> set[str]:
    """The argument and all that share a size with it: a padded group count goes with what it is computed from."""
    symbols = set(argument.symbols)
    if symbols & {"K", "P"}:
        symbols |= {"K", "P", "G"}
    return {argument.name} | {other.name for other in function.arguments if symbols & other.symbols}


def tensor_mistakes(function: Function, argument: Argument) -> Iterator[Mistake]:
    name, label = argument.name, argument.name
    for value in ("text", 1, [1.0]) if argument.kind == "optional tensor" else ("text", 1, None):
        kind = type(value).__name__
        yield Mistake(function.name, f"{label}-is-{kind}", replaced(name, value), {name}, TypeError)

    allowed = argument.dtypes or FUNCTIONS[function.name][argument.like].dtypes
    for dtype in WRONG_DTYPES:
        if dtype not in allowed:
            cast = transformed(name, lambda tensor, dtype=dtype: tensor.to(dtype))
            yield Mistake(function.name, f"{label}-in-{dtype}", cast, {name})
    # An allowed dtype that disagrees with the other tensors.
    sharing = {name, argument.like} | {other.name for other in function.tensors if other.like == name}
    if len(sharing - {""}) > 1:
        other = torch.float32 if torch.float32 in allowed else torch.bfloat16
        cast = transformed(name, lambda tensor: tensor.to(other))
        yield Mistake(function.name, f"{label}-in-another-dtype", cast, sharing - {""})

    related = companions(function, argument)
    scalar = transformed(name, lambda tensor: tensor.flatten()[0].clone())
    yield Mistake(function.name, f"{label}-without-dimensions", scalar, related)
    if not argument.any_rank:
        yield Mistake(function.name, f"{label}-unsqueezed", transformed(name, lambda t: t.unsqueeze(0)), related)
    for dim in range(len(argument.shape)):
        if dim not in argument.free:
            yield Mistake(function.name, f"{label}-longer-in-{dim}", resized(name, dim), related)
    if not argument.strided:
        yield Mistake(function.name, f"{label}-not-contiguous", transformed(name, not_contiguous), {name})


def scalar_mistakes(function: Function, argument: Argument) -> Iterator[Mistake]:
    wrong = {"int": ("text", None, 1.5), "float": ("text", None, [1.0]), "bool": ("text", None, 2.5)}[argument.kind]
    for value in wrong:
        label = f"{argument.name}-is-{type(value).__name__}"
        yield Mistake(function.name, label, replaced(argument.name, value), {argument.name}, TypeError)
    if isinstance(argument.value, str) and argument.name != "timestep":  # a size that another argument states too
        related = companions(function, argument)
        for offset in (-1, 1):

            def change(arguments: Arguments, offset: int = offset) -> None:
                arguments[argument.name] += offset

            yield Mistake(function.name, f"{argument.name}{offset:+}", change, related)


def particular_mistakes() -> Iterator[Mistake]:
    """Values that the table does not speak of."""
    for name in ("gemv_forward_cuda_new", "gemv_forward_cuda", "gemm_forward_cuda"):
        for group_size in (0, -128, 48, 96):
            related = {"group_size", "scaling_factors", "zeros"} if group_size != 0 else {"group_size"}
            yield Mistake(name, f"group_size-{group_size}", replaced("group_size", group_size), related)
    for name in ("gemv_forward_cuda", "gemm_forward_cuda"):
        yield Mistake(name, "group_size-32", replaced("group_size", 32), {"group_size", "scaling_factors"})

    def odd_rows(arguments: Arguments) -> None:
        arguments["scales"] = random_tensor([9, 64], torch.float16)
        arguments["zeros"] = random_tensor([9, 64], torch.float16)

    yield Mistake("gemm_forward_cuda_new", "scales-of-no-group-size", odd_rows, {"scales"})

    def narrow(arguments: Arguments) -> None:
        arguments["in_feats"] = random_tensor([3, 32], torch.float16)
        arguments["kernel"] = random_tensor([16, 32], torch.int16)

    yield Mistake("gemm_forward_cuda_new", "K-32", narrow, {"in_feats", "kernel", "scales"})

    for name in ("w8a8_gemm_forward_cuda", "w8a8_gemm_fuse_bias_forward_cuda"):

        def odd_k(arguments: Arguments) -> None:
            arguments["in_feats"] = random_tensor([3, 250], torch.int8)
            arguments["kernel"] = random_tensor([64, 250], torch.int8)

        yield Mistake(name, "K-250", odd_k, {"in_feats", "kernel"})

    rotary = "rotary_embedding_neox"
    table = "cos_sin_cache"
    yield Mistake(rotary, "rot_dim-odd", replaced(table, random_tensor([50, 31], torch.float16)), {table})
    yield Mistake(rotary, "rot_dim-past-head", replaced(table, random_tensor([50, 66], torch.float16)), {table})

    rope = "fused_rope_with_pos_forward_func"
    yield Mistake(rope, "d2-odd", replaced("freqs", torch.zeros(2, 3, 1, 31)), {"freqs"})
    yield Mistake(rope, "d2-past-head", replaced("freqs", torch.zeros(2, 3, 1, 66)), {"freqs"})
    yield Mistake(rope, "rows-missing", replaced("freqs", torch.zeros(1, 3, 1, 32)), {"freqs"})

    yield Mistake("silu_and_mul", "last-odd", replaced("input", random_tensor([2, 3, 81], torch.float16)), {"input"})

    norm = "rms_norm_general"

    def several_scales(arguments: Arguments) -> None:
        arguments["use_per_token_quant"] = False

    yield Mistake(norm, "per-tensor-with-six-scales", several_scales, {"scaling"})

    attention = "single_query_attention"
    yield Mistake(attention, "timestep-negative", without_lengths(replaced("timestep", -1)), {"timestep"})
    for dim in (-2, 31, 66):
        label = f"rotary_embedding_dim-{dim}"
        yield Mistake(attention, label, replaced("rotary_embedding_dim", dim), {"rotary_embedding_dim"})
    for argument, heads in (("q", 4), ("k", 2), ("v", 2)):
        # A slice of a projection may have any batch stride, but nothing between two heads or two elements.
        for label, tensor in (
            ("heads-apart", random_tensor([2, heads, 128], torch.float16)[..., :64]),
            ("elements-apart", random_tensor([2, heads, 128], torch.float16)[..., ::2]),
        ):
            yield Mistake(attention, f"{argument}-{label}", replaced(argument, tensor), {argument})

    def odd_head(arguments: Arguments) -> None:
        arguments.update(make_arguments(attention, D=40))

    yield Mistake(attention, "D-40", odd_head, {"q"})

    def empty_cache(arguments: Arguments) -> None:
        arguments.update(make_arguments(attention, L=0))

    yield Mistake(attention, "L-0", empty_cache, {"k_cache", "v_cache"})

    def no_kv_heads(arguments: Arguments) -> None:
        arguments.update(make_arguments(attention, Hk=0))

    yield Mistake(attention, "Hk-0", no_kv_heads, {"q", "k"})


def without_lengths(change: Callable[[Arguments], None]) -> Callable[[Arguments], None]:
    def both(arguments: Arguments) -> None:
        arguments["length_per_sample_"] = None
        change(arguments)

    return both


def all_mistakes() -> Iterator[Mistake]:
    for function in FUNCTIONS.values():
        for argument in function.arguments:
            yield from (tensor_mistakes if argument.is_tensor else scalar_mistakes)(function, argument)
    yield from particular_mistakes()


def callee(export: tuple[str, str], engine: ModuleType, ft: ModuleType) -> Callable[..., Any]:
    module, name = export
    return getattr({"awq_inference_engine": engine, "ft_attention": ft}[module], name)


# ft_attention shares the code but not the binary: its one function sees the same mistakes.
CASES = [(module, mistake) for mistake in all_mistakes() for module, name in EXPORTS if name == mistake.function]


@pytest.mark.parametrize(("module", "mistake"), CASES, ids=lambda value: repr(value).strip("'"))
def test_a_wrong_argument_is_named(module: str, mistake: Mistake, engine: ModuleType, ft: ModuleType) -> None:
    arguments = make_arguments(mistake.function)
    mistake.change(arguments)
    with pytest.raises(mistake.error) as caught:
        callee((module, mistake.function), engine, ft)(**arguments)
    message = str(caught.value)
    named = "|".join(re.escape(name) for name in sorted(mistake.named))
    assert re.match(rf"{mistake.function}: ({named}) must .*, got ", message, re.DOTALL), (
        f"expected '{mistake.function}: <{named}> must ..., got ...', the message is: {message}"
    )


@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_valid_tensors_on_the_cpu_are_refused_for_their_device(
    export: tuple[str, str], engine: ModuleType, ft: ModuleType
) -> None:
    function = FUNCTIONS[export[1]]
    for dtype in function.dtypes:
        arguments = make_arguments(function.name, dtype)
        with pytest.raises(ValueError) as caught:
            callee(export, engine, ft)(**arguments)
        message = str(caught.value)
        if dtype == torch.bfloat16 and "CUDA device" not in message:
            # A module built without bfloat16 says so instead, and how to get it.
            assert re.search("bfloat16", message) and re.search("bf16=true|built without|rebuild", message), message
            continue
        first = function.tensors[0].name
        assert re.match(rf"{function.name}: {first} must be on a CUDA device, got .*cpu", message), message


@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_keywords_and_counts_are_checked(export: tuple[str, str], engine: ModuleType, ft: ModuleType) -> None:
    call, function = callee(export, engine, ft), FUNCTIONS[export[1]]
    arguments = make_arguments(function.name)
    for argument in function.arguments:
        if argument.default is REQUIRED:
            rest = {name: value for name, value in arguments.items() if name != argument.name}
            with pytest.raises(TypeError, match=function.name):
                call(**rest)
            with pytest.raises(TypeError, match=function.name):  # a misspelt name
                call(**rest, **{argument.name + "s_": arguments[argument.name]})
    with pytest.raises(TypeError, match=function.name):
        call(**arguments, stream=0)
    with pytest.raises(TypeError, match=function.name):
        call(*arguments.values(), 0)
    with pytest.raises(TypeError, match=function.name):
        call()


@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_leading_dimensions_may_be_split(export: tuple[str, str], engine: ModuleType, ft: ModuleType) -> None:
    """`[..., C]` is as good as `[T, C]` wherever the contract says so: such a call gets to the device check."""
    function = FUNCTIONS[export[1]]
    split = {
        "gemv_forward_cuda_new": ("in_feats",),
        "gemm_forward_cuda_new": ("in_feats",),
        "invoke_quant": ("input", "out"),
        "rms_norm_general": ("input", "out"),
        "silu_and_mul": ("input",),
        "gelu_and_quant": ("input", "out", "tmp"),
    }.get(function.name, ())
    if not split:
        return
    arguments = make_arguments(function.name)
    for name in split:
        arguments[name] = arguments[name].unsqueeze(0)
    with pytest.raises(ValueError, match="must be on a CUDA device"):
        callee(export, engine, ft)(**arguments)


@pytest.mark.gpu
@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_each_tensor_must_be_on_the_device(
    export: tuple[str, str], engine: ModuleType, ft: ModuleType, device: torch.device
) -> None:
    function = FUNCTIONS[export[1]]
    for argument in function.tensors:
        arguments = make_arguments(function.name, device=device)
        arguments[argument.name] = arguments[argument.name].cpu()
        # With the first tensor elsewhere, the others may be the ones that are not where it is.
        named = "|".join(other.name for other in function.tensors) if argument is function.tensors[0] else argument.name
        with pytest.raises(ValueError, match=rf"^{function.name}: ({named}) must be on .*, got .*"):
            callee(export, engine, ft)(**arguments)


@pytest.mark.gpu
@pytest.mark.parametrize("export", EXPORTS, ids="-".join)
def test_the_valid_call_is_valid(
    export: tuple[str, str], engine: ModuleType, ft: ModuleType, device: torch.device
) -> None:
    """What all mistakes start from runs, in every dtype, by position and by name."""
    function = FUNCTIONS[export[1]]
    call = callee(export, engine, ft)
    for dtype in function.dtypes:
        by_name = call(**make_arguments(function.name, dtype, device))
        by_position = call(*make_arguments(function.name, dtype, device).values())
        assert (by_name is not None) == (by_position is not None) == function.returns


def test_lazily_negated_views_are_refused(engine: ModuleType) -> None:
    arguments = make_arguments("silu_and_mul", torch.float32)
    arguments["input"] = torch.complex(arguments["input"], arguments["input"]).conj().imag
    with pytest.raises(ValueError, match=r"silu_and_mul: input must hold its values as they are.*resolve_neg"):
        engine.silu_and_mul(**arguments)


def test_tokens_that_overlap_are_refused_where_they_are_written(engine: ModuleType) -> None:
    arguments = make_arguments("rotary_embedding_neox")
    query = arguments["query"]
    arguments["query"] = query[:1, :1].expand_as(query)
    with pytest.raises(ValueError, match="rotary_embedding_neox: query must have the same stride"):
        engine.rotary_embedding_neox(**arguments)


@pytest.mark.gpu
def test_numbers_of_other_types_are_taken_where_they_mean_the_same(engine: ModuleType, device: torch.device) -> None:
    numpy = pytest.importorskip("numpy")
    x = torch.randn(1, 3, 64, device=device)
    expected, out = torch.empty_like(x), torch.empty_like(x)
    engine.layernorm_forward_cuda(x, x[0, 0], expected, 0.5)
    engine.layernorm_forward_cuda(x, x[0, 0], out, numpy.float32(0.5))
    assert torch.equal(out, expected)
    angles = torch.rand(1, 8, device=device)
    for flag in (True, 1, numpy.bool_(True)):
        assert engine.fused_rope_with_pos_forward_func(x[None], angles, flag).shape == (1, 1, 3, 64)


@pytest.mark.gpu
def test_tensors_without_memory_are_refused(engine: ModuleType, device: torch.device) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(2, 64, device=device)
    with pytest.raises(ValueError, match="silu_and_mul: input must have memory of its own"):
        engine.silu_and_mul(fake)
    torch.cuda.synchronize()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""The operators `torch.ops.awq.*`: PyTorch's own checks of their registration, and compilation through them."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from awq_kernels import ops
from testing.contract import FUNCTIONS, make_arguments
from testing.numeric import assert_same_bits

pytestmark = pytest.mark.gpu

CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def operator(name: str) -> torch._ops.OpOverload:
    assert name in ops.NAMES
    return getattr(torch.ops.awq, name).default


@pytest.mark.parametrize("name", FUNCTIONS)
def test_registration_passes_pytorch_s_checks(name: str, engine: ModuleType, device: torch.device) -> None:
    """What an operator writes, and the shape, dtype and strides it promises, are compared with a real call."""
    arguments = make_arguments(name, device=device)
    if name == "rms_norm_general":
        # AOT compares written arguments of two calls; fresh buffers hold the same before both.
        arguments["out"].zero_()
    torch.library.opcheck(operator(name), tuple(arguments.values()), test_utils=CHECKS)


def test_optional_arguments_and_defaults(engine: ModuleType, device: torch.device) -> None:
    arguments = make_arguments("single_query_attention", device=device)
    required = [*list(arguments.values())[:5], None, None, 7]
    torch.library.opcheck(operator("single_query_attention"), tuple(required), test_utils=CHECKS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_code_calls_the_kernel(name: str, engine: ModuleType, device: torch.device) -> None:
    """One graph, no break; the result is the module's own."""
    torch._dynamo.reset()
    arguments = make_arguments(name, device=device)
    compiled = torch.compile(operator(name), backend="aot_eager", fullgraph=True)
    written = [index for index, argument in enumerate(FUNCTIONS[name].arguments) if argument.written]
    direct = [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments.values()]
    traced = [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments.values()]
    expected, actual = getattr(engine, name)(*direct), compiled(*traced)
    if expected is not None:
        assert_same_bits(actual, expected)
    for index in written:
        assert_same_bits(traced[index], direct[index])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

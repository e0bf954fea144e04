"""The operators `torch.ops.awq.*` as compilers meet them, without a GPU: traced, never run."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from awq_kernels import ops, reference
from testing.contract import FUNCTIONS, make_arguments


def copied(arguments: dict[str, Any]) -> list[Any]:
    return [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments.values()]


class Caller(torch.nn.Module):
    """What calls one operator."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.operator = getattr(torch.ops.awq, name).default

    def forward(self, *arguments: Any) -> Any:
        return self.operator(*arguments)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_have_the_shape_the_reference_gives(name: str) -> None:
    arguments = make_arguments(name)
    expected = getattr(reference, name)(*copied(arguments))
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(v) if isinstance(v, torch.Tensor) else v for v in arguments.values()]
        actual = getattr(torch.ops.awq, name)(*fakes)
    if expected is None:
        assert actual is None
    else:
        assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
        assert actual.stride() == expected.stride()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_export_keeps_the_operator_whole(name: str) -> None:
    """One node in the graph, in front of which nothing copies; what it writes is known."""
    exported = torch.export.export(Caller(name), tuple(make_arguments(name).values()))
    [node] = [node for node in exported.graph.nodes if "awq" in str(node.target)]
    assert name in ops.NAMES and str(node.target) == f"awq.{name}.default"
    functional = exported.run_decompositions()
    written = [argument.name for argument in FUNCTIONS[name].arguments if argument.written]
    outputs = [output.kind.name for output in functional.graph_signature.output_specs]
    assert outputs.count("USER_INPUT_MUTATION") == len(written)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_code_gets_to_the_module_itself(name: str, engine: ModuleType) -> None:
    """Compiled without a break; the call ends in the module's own words about the device."""
    torch._dynamo.reset()
    compiled = torch.compile(Caller(name), backend="aot_eager", fullgraph=True)
    first = FUNCTIONS[name].tensors[0].name
    with pytest.raises(ValueError, match=f"^{name}: {first} must be on a CUDA device, got a tensor on cpu"):
        compiled(*make_arguments(name).values())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""What the modules export, without a GPU: names, docstrings, signatures, and that the stubs say the same."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
from types import ModuleType

import pytest

from awq_kernels import reference
from testing.contract import EXPORTS, FUNCTIONS, REQUIRED, SETTINGS, Function, make_arguments

PYTHON = pathlib.Path(reference.__file__).resolve().parent.parent


def public_names(module: ModuleType) -> set[str]:
    return {name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name))}


def test_the_engine_exports_the_contract_and_nothing_else(engine: ModuleType) -> None:
    assert public_names(engine) == {*FUNCTIONS, *SETTINGS}


def test_ft_attention_exports_the_contract_and_nothing_else(ft: ModuleType) -> None:
    assert public_names(ft) == {"single_query_attention"}


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_signatures_and_docstrings_state_the_contract(
    module: str, name: str, engine: ModuleType, ft: ModuleType
) -> None:
    function = getattr({"awq_inference_engine": engine, "ft_attention": ft}[module], name)
    parameters = inspect.signature(function).parameters
    assert list(parameters) == [argument.name for argument in FUNCTIONS[name].arguments]
    for argument in FUNCTIONS[name].arguments:
        default = parameters[argument.name].default
        assert default == (inspect.Parameter.empty if argument.default is REQUIRED else argument.default), argument.name
        described = re.search(rf"^\s+{argument.name}: \S", function.__doc__, re.MULTILINE)
        assert described, f"{argument.name} is not described in the docstring of {name}"


def stub(module: str) -> dict[str, ast.FunctionDef]:
    # Beside the module in the source tree, inside the module's package in the wheel.
    [path] = [*PYTHON.glob(f"{module}.pyi"), *PYTHON.glob(f"{module}/{module}.pyi")]
    tree = ast.parse(path.read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def check_signature(definition: ast.FunctionDef, function: Function) -> None:
    assert not definition.args.kwonlyargs and not definition.args.posonlyargs
    assert [argument.arg for argument in definition.args.args] == [a.name for a in function.arguments]
    types = {"tensor": "Tensor", "optional tensor": "Tensor | None", "int": "int", "float": "float", "bool": "bool"}
    for written, argument in zip(definition.args.args, function.arguments):
        assert written.annotation is not None and ast.unparse(written.annotation) == types[argument.kind], argument.name
    defaults = [ast.literal_eval(node) for node in definition.args.defaults]
    assert defaults == [a.default for a in function.arguments if a.default is not REQUIRED]
    assert definition.returns is not None
    assert ast.unparse(definition.returns) == ("Tensor" if function.returns else "None")


@pytest.mark.parametrize("module", ["awq_inference_engine", "ft_attention"])
def test_stubs_state_the_contract(module: str) -> None:
    definitions = stub(module)
    for name in SETTINGS if module == "awq_inference_engine" else ():
        definition = definitions.pop(name)
        assert ast.unparse(definition.args) == "constant: bool" and ast.unparse(definition.returns) == "None"
    assert [(module, name) for name in definitions] == [export for export in EXPORTS if export[0] == module]
    for name, definition in definitions.items():
        check_signature(definition, FUNCTIONS[name])


@pytest.fixture(scope="module")
def ops() -> ModuleType:
    """The operators; skips where PyTorch is too old for them."""
    module: ModuleType = pytest.importorskip("awq_kernels.ops", exc_type=ImportError)
    return module


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("module", ["reference", "ops"])
def test_references_and_operators_state_the_contract(module: str, name: str) -> None:
    path = pathlib.Path(reference.__file__).with_name(module + ".py")
    definitions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    check_signature(next(node for node in definitions if node.name == name), FUNCTIONS[name])


def test_references_and_operators_are_all_there(ops: ModuleType) -> None:
    assert set(ops.NAMES) == set(FUNCTIONS) <= set(reference.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operators_declare_what_they_write(name: str, ops: ModuleType) -> None:
    import torch

    schema = getattr(torch.ops.awq, name).default._schema
    written = {argument.name for argument in schema.arguments if argument.is_write}
    assert written == {a.name for a in FUNCTIONS[name].arguments if a.written}
    assert [argument.name for argument in schema.arguments] == [a.name for a in FUNCTIONS[name].arguments]


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_defaults_are_the_contract_s(module: str, name: str, engine: ModuleType, ft: ModuleType) -> None:
    """Leaving out what has a default gets as far as the device check, as the full call does."""
    function = getattr({"awq_inference_engine": engine, "ft_attention": ft}[module], name)
    arguments = make_arguments(name)
    for argument in FUNCTIONS[name].arguments:
        if argument.default is not REQUIRED:
            del arguments[argument.name]
    with pytest.raises(ValueError, match="CUDA device"):
        function(*arguments.values())


def test_operators_explain_a_missing_module(monkeypatch: pytest.MonkeyPatch, ops: ModuleType) -> None:
    def refuse(name: str) -> ModuleType:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match="Build //:awq_inference_engine"):
        ops._implementation("silu_and_mul")(None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

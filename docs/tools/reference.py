"""Renders docstrings as the Markdown of docs/reference.

griffe reads the Python sources, the type stubs and the .bzl files (whose syntax is Python's too), and takes docstrings
apart; only the two extension modules are imported, as theirs are made from the tables that check the arguments.
"""

from __future__ import annotations

import ast
import importlib
import pathlib
from collections.abc import Iterable, Iterator

import griffe

ROOT = pathlib.Path.cwd()  # among the runfiles
_WIDTH = 110  # of signatures


def read(path: str) -> griffe.Module:
    """What a file defines."""
    file = ROOT / path
    return griffe.visit(file.stem, filepath=file, code=file.read_text(encoding="utf-8"))


# ---- parts of a page -------------------------------------------------------------------------------------------------


def _source(path: str) -> str:
    return f"Source: [{path}](../../{path})"


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head} | |", "| --- | --- |"]
    for name, text in rows:
        cell = " ".join(text.split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {cell} |")
    return "\n".join(lines)


def _docstring(text: str) -> Iterator[str]:
    """The sections of a docstring, in their order."""
    sections = griffe.parse_google(
        griffe.Docstring(text), warnings=False, returns_multiple_items=False, returns_named_value=False
    )
    for section in sections:
        if isinstance(section, griffe.DocstringSectionText):
            yield section.value
        elif isinstance(section, griffe.DocstringSectionParameters):
            yield _table("argument", ((item.name, item.description) for item in section.value))
        elif isinstance(section, griffe.DocstringSectionAttributes):
            yield _table("attribute", ((item.name, item.description) for item in section.value))
        elif isinstance(section, griffe.DocstringSectionReturns):
            # What stands before a colon is taken for a type.
            parts = [str(part) for item in section.value for part in (item.annotation, item.description) if part]
            yield "**Returns** " + ": ".join(parts)
        elif isinstance(section, griffe.DocstringSectionRaises):
            errors = (f"`{item.annotation}`: {item.description}" for item in section.value)
            yield "**Raises**\n\n" + "\n".join(f"- {error}" for error in errors)
        else:
            raise ValueError(f"a docstring's section that no page shows: {section.kind}")


_PREFIXES = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}


def _signature(function: griffe.Function, *, starlark: bool = False) -> str:
    parameters = []
    for parameter in function.parameters:
        text = _PREFIXES.get(parameter.kind, "") + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not text.startswith("*"):
            text += f" = {parameter.default}" if starlark or ":" in text else f"={parameter.default}"
        parameters.append(text)
    result = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{function.name}({', '.join(parameters)}){result}"
    if len(line) > _WIDTH:
        line = "\n".join([f"{function.name}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])
    return f"```python\n{line}\n```"


def _function(function: griffe.Function, docstring: str, level: int, *, starlark: bool = False) -> Iterator[str]:
    yield f"{'#' * level} {function.name}"
    yield _signature(function, starlark=starlark)
    yield from _docstring(docstring)


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_MADE_BY = "<!-- Made by `./bazelw run //docs:update`. -->"

# ---- Python ----------------------------------------------------------------------------------------------------------


def _family(function: str) -> str:
    """The kernel family whose binding has a function's table."""
    bindings = (ROOT / "csrc/bindings").glob("*.cc")
    [found] = [path.stem for path in bindings if f'"{function}"' in path.read_text(encoding="utf-8")]
    return found


def _extension_module(name: str, shown: dict[str, str]) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"## {name}"
    assert module.__doc__
    yield from _docstring(module.__doc__)
    stub = f"python/{name}.pyi"
    yield f"Types: [{stub}](../../{stub})"
    for function in read(stub).functions.values():
        docstring = getattr(module, function.name).__doc__
        if shown.get(function.name) == docstring:
            yield f"`{function.name}` is [the one above](#{function.name})."
            continue
        shown[function.name] = docstring
        yield from _function(function, docstring, 3)
        family = _family(function.name)
        yield f"{_source(f'csrc/bindings/{family}.cc')}, [csrc/{family}](../../csrc/{family})"


def extension_modules() -> str:
    """The page about the two compiled modules."""
    importlib.import_module("torch")  # loads the libraries that they link to
    shown: dict[str, str] = {}
    return _join(
        [
            _MADE_BY,
            "# The extension modules",
            "How arguments are checked, in which order: [csrc/bindings/arguments.h](../../csrc/bindings/arguments.h).\n"
            "The same functions in plain PyTorch: [awq_kernels.reference](awq_kernels.md#awq_kernelsreference).",
            *_extension_module("awq_inference_engine", shown),
            *_extension_module("ft_attention", shown),
        ]
    )


def _python_module(name: str, *, like_the_compiled: bool = False) -> Iterator[str]:
    path = f"python/{name.replace('.', '/')}.py"
    module = read(path)
    yield f"## {name}"
    assert module.docstring, path
    yield from _docstring(module.docstring.value)
    yield _source(path)
    for exported in module.exports or []:
        member = module[str(exported)]
        if isinstance(member, griffe.Alias):  # defined in a private module
            home, _, own_name = member.target_path.rpartition(".")
            member = read(f"python/{home.replace('.', '/')}.py")[own_name]
        if isinstance(member, griffe.Attribute):
            continue  # the module's docstring says what it is
        assert member.docstring, f"{name}.{exported} has no docstring"
        if isinstance(member, griffe.Function):
            yield from _function(member, member.docstring.value, 3)
            if like_the_compiled:
                yield f"Arguments and shapes: [{exported}](modules.md#{exported})"
        else:
            yield f"### {exported}"
            yield from _docstring(member.docstring.value)
            for method in member.functions.values():
                if not method.name.startswith("_") and method.docstring:
                    yield from _function(method, method.docstring.value, 4)


def python_package() -> str:
    """The page about awq_kernels."""
    package = read("python/awq_kernels/__init__.py")
    assert package.docstring
    return _join(
        [
            _MADE_BY,
            "# awq_kernels",
            *_docstring(package.docstring.value),
            *_python_module("awq_kernels.packing"),
            *_python_module("awq_kernels.nn"),
            *_python_module("awq_kernels.checkpoint"),
            *_python_module("awq_kernels.transformers"),
            *_python_module("awq_kernels.reference", like_the_compiled=True),
            *_python_module("awq_kernels.ops"),
        ]
    )


# ---- Starlark --------------------------------------------------------------------------------------------------------

_DECLARATIONS = {
    "aspect": "an aspect",
    "module_extension": "a module extension",
    "provider": "a provider",
    "repository_rule": "a repository rule",
    "rule": "a rule",
}


def _text(value: object) -> str:
    """The value of a string in a source."""
    text = ast.literal_eval(str(value))
    assert isinstance(text, str)
    return text


def _keywords(call: object) -> dict[str, griffe.Expr | str]:
    assert isinstance(call, griffe.ExprCall)
    return {item.name: item.value for item in call.arguments if isinstance(item, griffe.ExprKeyword)}


def _described(attributes: object) -> Iterator[tuple[str, str]]:
    """Names in a dict and what they mean: the attributes of a rule, or the fields of a provider."""
    assert isinstance(attributes, griffe.ExprDict)
    for key, value in zip(attributes.keys, attributes.values):
        name = _text(key)
        if name.startswith("_"):
            continue
        if not isinstance(value, griffe.ExprCall):
            yield name, _text(value)
            continue
        options = _keywords(value)
        kind = str(value.function).removeprefix("attr.") + (", required" if options.get("mandatory") == "True" else "")
        default = f" Default: `{options['default']}`." if "default" in options else ""
        yield name, f"{kind}: {_text(options['doc'])}{default}"


def _declaration(name: str, declared: griffe.ExprCall, level: int) -> Iterator[str]:
    options = _keywords(declared)
    yield f"{'#' * level} {name}"
    yield f"{_DECLARATIONS[str(declared.function)].capitalize()}. {_text(options['doc'])}"
    attributes = options.get("attrs") or options.get("fields")
    if attributes is not None:
        yield _table("field" if "fields" in options else "attribute", _described(attributes))


def _declared(member: griffe.Object | griffe.Alias) -> griffe.ExprCall | None:
    """The call that declares a rule or the like, if a name stands for one."""
    value = member.value if isinstance(member, griffe.Attribute) else None
    return value if isinstance(value, griffe.ExprCall) and str(value.function) in _DECLARATIONS else None


def _bzl_file(path: str) -> Iterator[str]:
    module = read(path)
    folder, _, name = path.rpartition("/")
    yield f"## //{folder}:{name}"
    assert module.docstring, path
    yield from _docstring(module.docstring.value)
    yield _source(path)
    for member in module.members.values():
        declared = _declared(member)
        if member.name.startswith("_"):
            continue
        if declared:
            yield from _declaration(member.name, declared, 3)
        elif isinstance(member, griffe.Function):
            assert member.docstring, f"{path}: {member.name} has no docstring"
            yield from _function(member, member.docstring.value, 3, starlark=True)
            # A macro whose docstring names the private rule behind it hands its **kwargs to that.
            rule = module.members.get("_" + member.name)
            if rule and f"`{rule.name}`" in member.docstring.value and (declared := _declared(rule)):
                yield f"Attributes of `{rule.name}`:"
                yield _table("attribute", _described(_keywords(declared)["attrs"]))


def flags(path: str) -> str:
    """A section about the flags that a BUILD file declares: each with the comment above it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    lines, package = text.splitlines(), path.rpartition("/")[0]
    rows = []
    for node in ast.parse(text).body:
        call = node.value if isinstance(node, ast.Expr) else None
        options = {word.arg: word.value for word in call.keywords} if isinstance(call, ast.Call) else {}
        if "build_setting_default" not in options:
            continue
        comment: list[str] = []
        while lines[node.lineno - 2 - len(comment)].startswith("#"):
            comment.insert(0, lines[node.lineno - 2 - len(comment)].lstrip("# "))
        rows.append((f"--//{package}:{ast.literal_eval(options['name'])}", " ".join(comment)))
        assert comment, f"{path}: {rows[-1][0]} has no comment"
    return _join(["## Flags", _source(path), _table("flag", rows)])


def _documents_something(path: str) -> bool:
    return any(
        not member.name.startswith("_") and (isinstance(member, griffe.Function) or _declared(member))
        for member in read(path).members.values()
    )


def bzl_files(title: str, about: str, *folders: str) -> str:
    """A page about the .bzl files below some folders, those of tests left out."""
    files = [str(path.relative_to(ROOT)) for folder in folders for path in sorted((ROOT / folder).rglob("*.bzl"))]
    files = [path for path in files if not path.endswith("_test.bzl") and _documents_something(path)]
    return _join([_MADE_BY, f"# {title}", about, *(part for path in files for part in _bzl_file(path))])

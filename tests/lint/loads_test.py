"""What is taken from outside is what Bazel 9 and the current rules offer, symbol by symbol.

The tables were filled from the sources of rules_cc, rules_python and rules_cuda of August 2026, of Skylib 1.9.1 and
platforms 1.1.0, and from the folder tools/ of Bazel. Whoever adds a symbol looks it up there. `offline` is left out:
Bazel 7 alone reads it.
"""

from __future__ import annotations

import ast
import pathlib
import re

import tools

# By file, the symbols.
EXTERNAL = {
    "@bazel_skylib//lib:unittest.bzl": "analysistest asserts unittest",
    "@bazel_skylib//rules:common_settings.bzl": "BuildSettingInfo bool_flag string_flag",
    "@bazel_skylib//rules:write_file.bzl": "write_file",
    "@platforms//host:constraints.bzl": "HOST_CONSTRAINTS",
    "@rules_cc//cc:action_names.bzl": "ACTION_NAMES",
    "@rules_cc//cc:cc_toolchain_config_lib.bzl": "feature flag_group flag_set tool_path with_feature_set",
    "@rules_cc//cc:defs.bzl": "cc_binary cc_library cc_test cc_toolchain",
    "@rules_cc//cc:find_cc_toolchain.bzl": "find_cc_toolchain use_cc_toolchain",
    "@rules_cc//cc/common:cc_common.bzl": "cc_common",
    "@rules_cc//cc/common:cc_info.bzl": "CcInfo",
    "@rules_cc//cc/toolchains:cc_toolchain.bzl": "cc_toolchain",
    "@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl": "CcToolchainConfigInfo",
    "@rules_cuda//cuda:defs.bzl": "cuda_archs cuda_library cuda_toolchain cuda_toolchain_config_nvcc cuda_toolkit_info",
    "@rules_python//python:defs.bzl": "py_binary py_library py_test",
    "@rules_python//python:py_info.bzl": "PyInfo",
    "@rules_python//python/cc:py_cc_toolchain.bzl": "py_cc_toolchain",
}

# WORKSPACE mode, which ends with Bazel 8.
WORKSPACE = {
    "@bazel_features//:deps.bzl": "bazel_features_deps",
    "@bazel_skylib//:workspace.bzl": "bazel_skylib_workspace",
    "@bazel_tools//tools/build_defs/repo:http.bzl": "http_archive",
    "@bazel_tools//tools/build_defs/repo:local.bzl": "local_repository",
    "@bazel_tools//tools/build_defs/repo:utils.bzl": "maybe",
    "@rules_cc//cc:extensions.bzl": "compatibility_proxy_repo",
    "@rules_cuda//cuda:repositories.bzl": "rules_cuda_dependencies rules_cuda_toolchains",
    "@rules_python//python:repositories.bzl": "py_repositories python_register_toolchains",
}

# The files that read what only WORKSPACE mode has.
WORKSPACE_FILES = re.compile(r"(.*/)?WORKSPACE$|bazel/workspace/.*|toolchains/python/repositories\.bzl$")

# Module extensions, by use_extension.
EXTENSIONS = {
    "@rules_cc//cc:extensions.bzl": "cc_configure_extension",
    "@rules_python//python/extensions:python.bzl": "python",
}

# Targets of Bazel's own repository.
BAZEL_TOOLS = {
    "@bazel_tools//tools/cpp:toolchain_type",
    "@bazel_tools//tools/python:toolchain_type",
}

# Defined without a load() by Bazel 7, and by Bazel 9 no more.
NATIVE = re.compile(
    r"(cc|java|objc|proto|py|sh)_(binary|common|import|library|proto_library|runtime|runtime_pair|test|toolchain)$"
    r"|cc_(shared_library|toolchain_suite)$|(Cc|Java|Proto|Py)[A-Z]\w*$"
    r"|(git|http|local|new_local)_(archive|file|repository)$|(bind|distribs|new_git_repository)$"
)

LOAD = re.compile(r'load\(\s*"(@[^"]+)"((?:,\s*(?:\w+ = )?"[^"]+")+),?\s*\)')


def files() -> dict[str, str]:
    """All files that say load(), in strings too: BUILD files of fetched repositories, workspaces that tests write."""
    names = [name for name in tools.tree("*.bzl", "*.bazel", "WORKSPACE") if not name.startswith("offline/")]
    names += [name for name in tools.tree("*_test.py") if name.startswith("tests/nested/")]
    return {name: (tools.ROOT / name).read_text() for name in names}


FILES = files()
BAZEL_FILES = {name: text for name, text in FILES.items() if not name.endswith((".py", "MODULE.bazel"))}


def loads(text: str) -> dict[str, set[str]]:
    """What a file loads from outside, less from this project's own repositories."""
    found: dict[str, set[str]] = {}
    for label, symbols in LOAD.findall(text):
        if not label.startswith(("@awq_", "@REPOSITORY")):
            found.setdefault(label, set()).update(re.findall(r'"(\w+)"', symbols))
    return found


def unlisted(name: str, text: str) -> list[str]:
    """What a file loads that its table lacks."""
    table = EXTERNAL | (WORKSPACE if WORKSPACE_FILES.match(name) else {})
    return [
        f"{name}: {symbol} of {label}"
        for label, symbols in loads(text).items()
        for symbol in sorted(symbols - set(table.get(label, "").split()))
    ]


def native_symbols(name: str, text: str) -> list[str]:
    """Where a file uses what Bazel 9 does not define by itself."""
    nodes = list(ast.walk(ast.parse(text, name)))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load":
            bound |= {argument.value for argument in node.args[1:] if isinstance(argument, ast.Constant)}
            bound |= {keyword.arg for keyword in node.keywords if keyword.arg}
    used = [(node.lineno, node.id) for node in nodes if isinstance(node, ast.Name) and node.id not in bound]
    used += [
        (node.lineno, node.attr)
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "native"
    ]
    return [f"{name}:{line}: {symbol}" for line, symbol in sorted(used) if NATIVE.match(symbol)]


def test_every_symbol_is_listed() -> None:
    assert [complaint for name, text in FILES.items() for complaint in unlisted(name, text)] == []


def test_the_lists_hold_nothing_else() -> None:
    found: dict[str, set[str]] = {}
    for text in FILES.values():
        for label, symbols in loads(text).items():
            found.setdefault(label, set()).update(symbols)
    assert {label: set(symbols.split()) for label, symbols in (EXTERNAL | WORKSPACE).items()} == found


def test_extensions_are_listed() -> None:
    modules = [name for name in FILES if pathlib.Path(name).name == "MODULE.bazel"]
    assert modules
    used = {pair for name in modules for pair in re.findall(r'use_extension\(\s*"(@[^"]+)", "(\w+)"', FILES[name])}
    assert used == set(EXTENSIONS.items())


def test_targets_of_bazel_tools_are_listed() -> None:
    used = {label for text in FILES.values() for label in re.findall(r'"(@bazel_tools//[^"]+)"', text)}
    assert {label for label in used if not label.endswith(".bzl")} == BAZEL_TOOLS


def test_nothing_native_is_left() -> None:
    assert [complaint for name, text in BAZEL_FILES.items() for complaint in native_symbols(name, text)] == []


def test_what_is_wrong_is_named() -> None:
    text = 'load("@rules_cc//cc:defs.bzl", "cc_library", objc = "objc_library")'
    assert unlisted("BUILD.bazel", text) == ["BUILD.bazel: objc_library of @rules_cc//cc:defs.bzl"]
    text = 'load(\n    "@bazel_tools//tools/build_defs/repo:utils.bzl",\n    "maybe",\n)'
    assert unlisted("WORKSPACE", text) == []
    assert unlisted("a/b.bzl", text) == ["a/b.bzl: maybe of @bazel_tools//tools/build_defs/repo:utils.bzl"]
    assert native_symbols("BUILD.bazel", 'cc_library(name = "x")') == ["BUILD.bazel:1: cc_library"]
    assert native_symbols("x.bzl", "def f(t):\n    native.py_test()\n    return t[CcInfo]") == [
        "x.bzl:2: py_test",
        "x.bzl:3: CcInfo",
    ]
    assert native_symbols("BUILD.bazel", 'load("//a:b.bzl", "cc_library")\ncc_library(name = "x")') == []

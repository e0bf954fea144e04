"""The build layer consists of rooms with one direction: a file loads from its own room or from lower ones."""

from __future__ import annotations

import ast

import pytest
import tools

# From low to high. The rest of the workspace stands above them and may load everything but `offline`.
ROOMS = ["bazel/lib", "third_party", "toolchains", "config"]

# `offline` takes the place of other repositories, so it loads nothing of this one and is loaded by nothing here.
OFFLINE = "offline"


def room(package: str) -> str:
    """The room of a package: third_party for third_party/pip, the empty string for the rest of the workspace."""
    return next((r for r in [*ROOMS, OFFLINE] if package == r or package.startswith(r + "/")), "")


def loads(name: str, text: str) -> list[str]:
    """The packages of this workspace that a file loads from."""
    labels = [
        node.args[0].value
        for node in ast.walk(ast.parse(text, name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load"
        if isinstance(node.args[0], ast.Constant)
    ]
    package = name.rpartition("/")[0]
    inside = [label for label in labels if not label.startswith("@")]
    return [label.removeprefix("//").partition(":")[0] if label.startswith("//") else package for label in inside]


def complaints(name: str, text: str) -> list[str]:
    here = room(name.rpartition("/")[0])
    if here == OFFLINE:
        return []
    found = [(package, room(package)) for package in loads(name, text)]
    height = {r: i for i, r in enumerate(ROOMS)} | {"": len(ROOMS)}
    return [f"{name} loads from {package}" for package, there in found if height.get(there, 99) > height[here]]


FILES = {name: (tools.ROOT / name).read_text() for name in tools.tree("*.bzl", "*.bazel")}


@pytest.mark.parametrize("name", FILES)
def test_loads_point_downwards(name: str) -> None:
    assert complaints(name, FILES[name]) == []


def test_the_lowest_room_loads_nothing_from_outside() -> None:
    files = {name: text for name, text in FILES.items() if room(name) == "bazel/lib" and "_test" not in name}
    assert files
    outside = [name for name, text in files.items() if 'load("@' in text]
    assert outside == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("third_party/pip/wheels.bzl", "//config:archs.bzl"),
        ("bazel/lib/checks.bzl", "//third_party:versions.bzl"),
        ("toolchains/cuda/targets.bzl", "//bazel:copts.bzl"),
        ("bazel/kernel_library.bzl", "//offline:rules.bzl"),
    ],
)
def test_an_upward_load_is_named(name: str, label: str) -> None:
    assert complaints(name, f'load("{label}", "x")') == [f"{name} loads from {label[2:].partition(':')[0]}"]

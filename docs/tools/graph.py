"""Draws the graph of targets that target_graph.bzl writes, reduced to what a reader wants, as a Mermaid diagram."""

from __future__ import annotations

import json
import pathlib
import re

# Boxes for what comes from elsewhere, whose labels depend on settings and dependency mode. The first that fits counts.
_OTHERS = {
    r"@.*:pybind11": "pybind11",
    r"@.*\bawq_torch_.*|//toolchains/torch:.*": "PyTorch",
    r"@.*\bawq_cuda_.*|@.*rules_cuda.*:runtime|//toolchains/cuda:.*": "CUDA toolkit",
    r"@.*python.*:.*headers": "Python headers",
}
_LAYERS = ["python", "csrc/bindings", "kernel families", "csrc/common", "third_party"]
_KERNELS = "cuda_library"

Edges = set[tuple[str, str]]


def _box(label: str) -> str | None:
    """The box of a label: a target of the workspace, what stands for another repository, or None for no box."""
    for pattern, name in _OTHERS.items():
        if re.fullmatch(pattern, label):
            return name
    if label.startswith(("@", "//third_party", "//toolchains")):
        raise ValueError(f"{label} has no box in {__file__}")
    package, _, name = label.removeprefix("//").partition(":")
    if package.startswith("config"):
        return None
    if package == "csrc/bindings":  # the same in another configuration
        if name == "device":
            return "csrc/common:device"
        if name.endswith("_kernels"):
            return "csrc/" + name.removesuffix("_kernels")
    if package.endswith("/" + name):
        return package
    name = name.removesuffix("_library.so")  # what a py_extension links
    return f"{package}:{name}"


def _layer(box: str) -> str:
    if box in _OTHERS.values():
        return "third_party"
    if box.startswith("python"):
        return "python"
    return next((layer for layer in ("csrc/bindings", "csrc/common") if box.startswith(layer)), "kernel families")


def _below(edges: Edges) -> dict[str, set[str]]:
    """All that each box depends on, directly or not."""
    below: dict[str, set[str]] = {}

    def visit(box: str) -> set[str]:
        if box not in below:
            direct = {target for source, target in edges if source == box}
            below[box] = direct.union(*(visit(target) for target in direct))
        return below[box]

    for source, _ in edges:
        visit(source)
    return below


def reduced(edges: Edges) -> Edges:
    """The edges that do not follow from others."""
    below = _below(edges)
    return {
        (source, target)
        for source, target in edges
        if not any(target in below[other] for start, other in edges if start == source and other != target)
    }


def _identifier(box: str) -> str:
    return re.sub(r"\W", "_", box)


def diagram(path: pathlib.Path) -> str:
    """A graph that a JSON file holds, as a Mermaid block."""
    edges: Edges = set()
    kernels = set()
    for edge in json.loads(path.read_text(encoding="utf-8")):
        source, target = _box(edge["source"]), _box(edge["target"])
        if source and target and source != target:
            edges.add((source, target))
            if edge["kind"] == _KERNELS:
                kernels.add(source)
    boxes = sorted({box for edge in edges for box in edge})
    lines = ["```mermaid", "flowchart LR"]
    for layer in _LAYERS:
        lines.append(f'  subgraph {_identifier(layer)}["{layer}"]')
        for box in boxes:
            if _layer(box) == layer:
                name = box.removeprefix(layer).removeprefix("csrc/").lstrip("/:")
                shape = "{{%s}}" if box in kernels else "[%s]"
                lines.append(f"    {_identifier(box)}{shape % name}")
        lines.append("  end")
    lines += [f"  {_identifier(source)} --> {_identifier(target)}" for source, target in sorted(reduced(edges))]
    return "\n".join([*lines, "```"])


def page(path: pathlib.Path) -> str:
    """The page with the diagram of the graph that a JSON file holds."""
    return f"""\
<!-- Made by `./bazelw run //docs:update`. -->

# The graph of targets

What the wheels are made of, as Bazel's analysis sees it with the default settings. An arrow goes from a target to one
it is made from; arrows that follow from others are left out. nvcc compiles the hexagons, the host compiler the rest.
Not drawn: the settings and checks in `//config`, which everything depends on.

{diagram(path)}
"""

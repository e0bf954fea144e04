"""The diagram shows what an edge list names, and only edges that do not follow from others."""

from __future__ import annotations

import json
import pathlib

import graph
import pytest


def test_edges_that_follow_from_others_are_left_out() -> None:
    chain = {("a", "b"), ("b", "c"), ("c", "d")}
    assert graph.reduced(chain | {("a", "c"), ("a", "d"), ("b", "d")}) == chain
    diamond = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert graph.reduced(diamond) == diamond


def test_boxes(tmp_path: pathlib.Path) -> None:
    def edge(source: str, target: str, kind: str = "cc_library") -> dict[str, str]:
        return {"source": source, "kind": kind, "target": target}

    path = tmp_path / "targets.json"
    edges = [
        edge("//python:m", "//python:m_library.so", "_py_extension"),
        edge("//python:m_library.so", "//csrc/bindings:f", "cc_binary"),
        edge("//csrc/bindings:f", "//csrc/f:f"),
        edge("//csrc/bindings:f", "//config:torch_check"),
        edge("//csrc/bindings:f", "@@_main~dependencies~awq_torch_2_6_0_cp311_x86_64//:torch_python"),
        edge("//csrc/bindings:f", "@rules_python//python/cc:current_py_cc_headers"),
        edge("//csrc/f:f", "//csrc/f:special", "cuda_library"),
        edge("//csrc/f:special", "@awq_cuda_local//:runtime", "cuda_library"),
    ]
    path.write_text(json.dumps(edges))
    lines = graph.diagram(path).splitlines()
    assert [line.strip() for line in lines if "-->" in line] == [
        "csrc_bindings_f --> PyTorch",
        "csrc_bindings_f --> Python_headers",
        "csrc_bindings_f --> csrc_f",
        "csrc_f --> csrc_f_special",
        "csrc_f_special --> CUDA_toolkit",
        "python_m --> csrc_bindings_f",
    ]
    assert "    csrc_f_special{{f:special}}" in lines and "    csrc_bindings_f[f]" in lines
    assert not [line for line in lines if "config" in line or "_library" in line]


def test_what_has_no_box_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps([{"source": "//csrc/f:f", "kind": "cc_library", "target": "@other//:x"}]))
    with pytest.raises(ValueError, match="@other//:x has no box"):
        graph.diagram(path)

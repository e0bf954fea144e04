"""The build's .bzl files give under Python what they give in a build: its own unit tests pass here too."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest
from starlark import Failure, Workspace

ROOT = pathlib.Path(__file__).parents[1]


def _equals(_: object, expected: object, actual: object, message: str = "") -> None:
    assert actual == expected, message


def _true(_: object, condition: object, message: str = "") -> None:
    assert condition, message


def _false(_: object, condition: object, message: str = "") -> None:
    assert not condition, message


# What bazel/lib/lib_test.bzl uses of Skylib's unit tests; `make` leaves the implementation to be called.
SKYLIB = {
    "asserts": SimpleNamespace(equals=_equals, true=_true, false=_false),
    "unittest": SimpleNamespace(begin=lambda ctx: ctx, end=lambda env: None, make=lambda test: test),
}
UNIT_TESTS = Workspace(ROOT, {"@bazel_skylib//lib:unittest.bzl": SKYLIB}).load("//bazel/lib:lib_test.bzl")


@pytest.mark.parametrize("name", [name for name in UNIT_TESTS if name.endswith("_test")])
def test_unit_tests_of_the_build(name: str) -> None:
    UNIT_TESTS[name](None)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("//bazel/lib:arch_list.bzl", ["code_for", "format_archs"]),
        ("//bazel/lib:checks.bzl", ["select_archs", "check_toolkit"]),
        ("//bazel/lib:cuda_versions.bzl", ["nvcc_version", "host_compiler_range"]),
        ("//bazel/lib:problems.bzl", ["problem", "format_problem", "no_pip"]),
        ("//third_party:versions.bzl", ["CUDA_TOOLKITS", "TORCH_RELEASES", "PROCESSORS"]),
        ("//bazel/lib:compilers.bzl", ["ask_compiler", "has_gpu"]),
        ("//bazel/lib:installed_toolkit.bzl", ["find_toolkit", "USUAL_PLACE"]),
        ("//bazel/lib:installed_torch.bzl", ["find_torch", "torch_facts", "cxx11_abi"]),
        ("//bazel/lib:interpreters.bzl", ["find_interpreter", "find_pip"]),
    ],
)
def test_files_that_the_doctor_uses_load(label: str, names: list[str]) -> None:
    namespace = Workspace(ROOT).load(label)
    assert [name for name in names if name not in namespace] == []


@pytest.mark.parametrize(
    ("text", "version", "cuda"),
    [
        ("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n", "2.11.0+cu130", "13.0"),
        ("__version__ = '2.3.0'\ncuda = '12.1'\n", "2.3.0", "12.1"),
        ("__version__ = '2.6.0+cpu'\ncuda: Optional[str] = None\n", "2.6.0+cpu", ""),
    ],
)
def test_facts_about_pytorch(text: str, version: str, cuda: str) -> None:
    facts = Workspace(ROOT).load("//bazel/lib:installed_torch.bzl")["torch_facts"](text)
    assert facts == SimpleNamespace(version=version, cuda=cuda)


def _workspace(folder: pathlib.Path, files: dict[str, str]) -> Workspace:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return Workspace(folder)


def test_load_gives_the_named_names_and_no_others(tmp_path: pathlib.Path) -> None:
    workspace = _workspace(
        tmp_path,
        {
            "a/a.bzl": 'load("//b:b.bzl", "one", uno = "one")\nload(":c.bzl", "three")\n',
            "a/c.bzl": "three = 3\n",
            "b/b.bzl": "one = 1\ntwo = 2\n",
        },
    )
    names: dict[str, Any] = workspace.load("//a:a.bzl")
    assert (names["one"], names["uno"], names["three"]) == (1, 1, 3)
    assert "two" not in names


def test_a_file_is_executed_once(tmp_path: pathlib.Path) -> None:
    workspace = _workspace(tmp_path, {"a/a.bzl": "things = []\n", "a/b.bzl": 'load(":a.bzl", "things")\n'})
    assert workspace.load("//a:b.bzl")["things"] is workspace.load("//a:a.bzl")["things"]


def test_fail_says_its_words(tmp_path: pathlib.Path) -> None:
    workspace = _workspace(tmp_path, {"a/a.bzl": 'def broken():\n    fail("no", 5)\n'})
    with pytest.raises(Failure, match="no 5"):
        workspace.load("//a:a.bzl")["broken"]()


def test_files_of_other_repositories_need_a_stand_in(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="@other//:x.bzl lies outside"):
        _workspace(tmp_path, {"a/a.bzl": 'load("@other//:x.bzl", "x")\n'}).load("//a:a.bzl")

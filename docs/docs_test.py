"""docs/settings.md, troubleshooting.md and monorepo.md say what the build has: settings, values, messages, targets."""

from __future__ import annotations

import ast
import pathlib
import re
from typing import Any

import pytest
from starlark import Workspace

ROOT = pathlib.Path.cwd()  # among the test's runfiles
MONOREPO = (ROOT / "docs/monorepo.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text()
WORKSPACE = Workspace(ROOT)
FLAGS = re.findall(
    r"^(?:bool_flag|label_flag|string_flag)\(\n +name = \"(\w+)\"",
    (ROOT / "config/BUILD.bazel").read_text(),
    re.M,
)
CONFIGS = set(re.findall(r"^\w+:([\w.]+) ", (ROOT / ".bazelrc").read_text(), re.M))


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, as text without backquotes."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def row(flag: str) -> list[str]:
    """The cells after a flag's name."""
    [found] = [cells[1:] for cells in rows(SETTINGS) if cells[0] == f"--//config:{flag}"]
    return found


def test_every_flag_has_a_row_and_every_row_a_flag() -> None:
    assert FLAGS
    first_cells = [cells[0] for cells in rows(SETTINGS)]
    in_table = [
        name for cell in first_cells if cell.startswith("--//") for name in re.findall(r"--//config:(\w+)", cell)
    ]
    assert sorted(FLAGS) == sorted(in_table)


def test_named_configurations_choose_what_their_names_say() -> None:
    versions = WORKSPACE.load("//third_party:versions.bzl")
    expected = {f"torch{release.rpartition('.')[0]}": f"torch={release}" for release in versions["TORCH_RELEASES"]}
    expected |= {f"py{version.replace('.', '')}": f"python={version}" for version in versions["PYTHON_VERSIONS"]}
    expected |= {"host_gcc": "compiler=local", "local_cuda": "cuda=local", "local_torch": "torch=local"}
    lines = re.findall(r"^common:(\w[\w.]*) --//config:(\S+)$", (ROOT / ".bazelrc").read_text(), re.M)
    assert dict(lines) == expected and len(lines) == len(expected)


def test_every_named_configuration_is_there_and_no_other() -> None:
    assert CONFIGS
    in_table = {name for cells in rows(SETTINGS) for name in re.findall(r"--config=([\w.]+)", cells[0])}
    assert in_table == CONFIGS


@pytest.mark.parametrize("page", [MONOREPO, SETTINGS, TROUBLESHOOTING], ids=["monorepo", "settings", "troubleshooting"])
def test_what_is_mentioned_exists(page: str) -> None:
    assert set(re.findall(r"--config=([\w.]*\w)", page)) <= CONFIGS
    assert set(re.findall(r"--(?:@awq_kernels)?//config:(\w+)", page)) <= set(FLAGS)


def test_public_files_have_what_the_page_names() -> None:
    named = re.findall(r"`//([\w/]+):(\w+\.bzl)`: `(\w+)`", MONOREPO)
    assert len(named) == 3
    for package, file, name in named:
        assert re.search(rf"^(def {name}\(|{name} = )", (ROOT / package / file).read_text(), re.M), name


def test_values_and_defaults() -> None:
    versions = WORKSPACE.load("//third_party:versions.bzl")
    expected = {
        "cuda": ["auto", *versions["CUDA_TOOLKITS"], "local", "registered"],
        "torch": [*versions["TORCH_RELEASES"], "local"],
        "python": versions["PYTHON_VERSIONS"],
    }
    for flag, values in expected.items():
        default = "auto" if flag == "cuda" else versions[f"DEFAULT_{flag.upper()}"]
        assert row(flag)[0] == ", ".join(values)
        assert row(flag)[1].split(";")[0] == default


def test_pairs_of_pytorch_and_cuda() -> None:
    releases: dict[str, Any] = WORKSPACE.load("//third_party:versions.bzl")["TORCH_RELEASES"]
    for version, release in releases.items():
        name = "--config=torch" + version.rpartition(".")[0]
        [meaning] = [cells[1] for cells in rows(SETTINGS) if cells[0] == name]
        assert meaning.startswith(f"PyTorch {version} with CUDA {release.cuda}")


def test_variables_that_the_build_reads() -> None:
    variables = WORKSPACE.load("//bazel/lib:variables.bzl")["VARIABLES"]
    named = " ".join(cells[0] for cells in rows(SETTINGS))
    assert [name for name in variables if not re.search(rf"\b{name}\b", named)] == []


def test_toolkits_of_architectures() -> None:
    table = WORKSPACE.load("//bazel/lib:cuda_versions.bzl")
    listed = {cells[1]: cells[2] for cells in rows(SETTINGS) if re.fullmatch(r"\d+\.\d", cells[1])}
    assert listed == {arch: table["toolkits_with"](arch.replace(".", "")) for arch in listed}
    known = {arch for arch in table["KNOWN_ARCHS"] if arch.isdigit()}
    assert known - {arch.replace(".", "") for arch in listed} == {"88", "101"}, "only these two are left out"


def test_compilers_of_toolkits() -> None:
    table = WORKSPACE.load("//bazel/lib:cuda_versions.bzl")
    [line] = re.findall(r"^- \*\*Compilers\.\*\*.*$", SETTINGS, re.M)
    said = re.findall(r"to (\d+) with (?:CUDA )?([\d.]+\d)", line)
    assert [cuda for _, cuda in said] == [*WORKSPACE.load("//third_party:versions.bzl")["CUDA_TOOLKITS"]][::-1]
    for newest, cuda in said:
        assert int(newest) == table["host_compiler_range"]("gcc", table["parse_version"](cuda))[1]


def test_every_message_has_a_row() -> None:
    # Starlark that is also Python.
    trees = [ast.parse((ROOT / "bazel/lib" / name).read_text()) for name in ("checks.bzl", "problems.bzl")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    titles = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "title"]
    texts = {node.value for title in titles for node in ast.walk(title) if isinstance(node, ast.Constant)}
    patterns = [re.escape(text).replace(r"\{\}", ".+") for text in texts if isinstance(text, str) and " " in text]
    assert len(patterns) > 15
    symptoms = "\n".join(cells[0] for cells in rows(TROUBLESHOOTING))
    assert [pattern for pattern in patterns if not re.search(pattern, symptoms)] == []

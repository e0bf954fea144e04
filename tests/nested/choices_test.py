"""What a workspace that includes this one chooses, wins: its PyTorch, its CUDA toolkit, its Python, its C++ toolchain.

The workspace is an example with a toolkit, a PyTorch and a Python of its own. They are empty files with the right
names, which is all that the analysis looks at; nothing is fetched.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import pytest
from consumer import Consumer
from workspace import ROOT

from testing import fakes

TOOLKIT_FILES = (
    "bin/bin2c",
    "bin/crt/link.stub",
    "bin/fatbinary",
    "bin/nvcc",
    "bin/nvlink",
    "bin/ptxas",
    "include/cuda_runtime.h",
)
TORCH_FILES = ("version.py", "include/torch/extension.h") + tuple(
    f"lib/lib{name}.so" for name in ("c10", "c10_cuda", "torch", "torch_cpu", "torch_python")
)

CUDA_BUILD = """
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_cuda//cuda:defs.bzl", "cuda_toolchain", "cuda_toolchain_config_nvcc", "cuda_toolkit_info")

cc_library(
    name = "runtime",
    hdrs = ["include/cuda_runtime.h"],
    includes = ["include"],
    visibility = ["//visibility:public"],
)

cuda_toolkit_info(
    name = "info",
    bin2c = "bin/bin2c",
    fatbinary = "bin/fatbinary",
    link_stub = "bin/crt/link.stub",
    nvlink = "bin/nvlink",
    path = "",
    ptxas = "bin/ptxas",
    version = "13.0",
)

cuda_toolchain_config_nvcc(
    name = "config",
    cuda_toolkit = ":info",
    nvcc_version_major = 13,
    nvcc_version_minor = 0,
    toolchain_identifier = "nvcc",
)

cuda_toolchain(
    name = "nvcc",
    compiler_files = glob(["bin/**"]),
    compiler_label = "bin/nvcc",
    toolchain_config = ":config",
)

toolchain(
    name = "toolchain",
    toolchain = ":nvcc",
    toolchain_type = "@rules_cuda//cuda:toolchain_type",
)
"""

CC_CONFIG = """
load("@rules_cc//cc:cc_toolchain_config_lib.bzl", "tool_path")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")

def _config_impl(ctx):
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        compiler = "gcc",
        target_cpu = "k8",
        target_libc = "glibc",
        target_system_name = "x86_64-linux-gnu",
        tool_paths = [tool_path(name = tool, path = "bin/g++") for tool in "ar cpp gcc ld nm objdump strip".split(" ")],
        toolchain_identifier = "theirs",
    )

config = rule(implementation = _config_impl, provides = [CcToolchainConfigInfo])
"""

CC_BUILD = """
load("@rules_cc//cc:defs.bzl", "cc_toolchain")
load(":config.bzl", "config")

filegroup(
    name = "files",
    srcs = ["bin/g++"],
)

config(name = "config")

cc_toolchain(
    name = "cc_toolchain",
    all_files = ":files",
    ar_files = ":files",
    as_files = ":files",
    compiler_files = ":files",
    dwp_files = ":files",
    linker_files = ":files",
    objcopy_files = ":files",
    strip_files = ":files",
    toolchain_config = ":config",
)

toolchain(
    name = "toolchain",
    toolchain = ":cc_toolchain",
    toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
)
"""

TORCH_BUILD = """
load("@REPOSITORY//third_party/torch:defs.bzl", "torch_wheel")
load("@rules_python//python:defs.bzl", "py_library")

py_library(
    name = "torch",
    srcs = glob(["site-packages/**/*.py"]),
    data = glob(["site-packages/**"], exclude = ["**/*.py"]),
    imports = ["site-packages"],
    visibility = ["//visibility:public"],
)

torch_wheel(
    name = "torch_cc",
    cuda = "13.0",
    cxx11_abi = False,
    version = "2.11.0+cu130",
    visibility = ["//visibility:public"],
    wheel = ":torch",
)
"""


def write(path: pathlib.Path, text: str = "", executable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if executable else 0o644)


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consumer]:
    """Includes this workspace under another name, and chooses everything itself."""
    programs = tmp_path_factory.mktemp("programs")
    fakes.python(programs / "python3.12", "3.12")
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    with Consumer("monorepo_bzlmod", repository="kernels_of_another_name", environment={"PATH": path}) as workspace:
        module = workspace.folder / "MODULE.bazel"
        text = module.read_text().replace("3.11", "3.12")
        module.write_text(text + '\nregister_toolchains("//cc:toolchain", "//cuda:toolchain")\n')
        write(workspace.folder / "cc/bin/g++", executable=True)
        write(workspace.folder / "cc/BUILD.bazel", CC_BUILD)
        write(workspace.folder / "cc/config.bzl", CC_CONFIG)
        for name in TOOLKIT_FILES:
            write(workspace.folder / "cuda" / name, executable=name.startswith("bin/"))
        write(workspace.folder / "cuda/BUILD.bazel", CUDA_BUILD)
        for name in TORCH_FILES:
            write(workspace.folder / "torch/site-packages/torch" / name)
        write(workspace.folder / "torch/BUILD.bazel", TORCH_BUILD.replace("REPOSITORY", workspace.repository))
        yield workspace


@pytest.fixture(scope="module")
def choices(consumer: Consumer) -> list[str]:
    return [
        "--@rules_cuda//cuda:runtime=//cuda:runtime",
        consumer.flag("cuda", "registered"),
        consumer.flag("registered_cuda_version", "13.0"),
        consumer.flag("torch_cc", "//torch:torch_cc"),
        consumer.flag("torch_py", "//torch"),
    ]


@pytest.fixture(scope="module")
def actions(consumer: Consumer, choices: list[str]) -> str:
    """All that is run for the module, one family in a C++ program, and the Python program."""
    targets = f"deps(@{consumer.repository}//:ft_attention) + deps(//:rms_norm) + deps(//:linear_test)"
    wanted = f"mnemonic('Cuda.*|Cpp.*|Py.*', {targets})"
    return consumer.check(consumer.bazel("aquery", *choices, "--noshow_progress", wanted))


def commands(actions: str, mnemonic: str) -> list[str]:
    found = [block for block in actions.split("\n\n") if re.search(rf"^  Mnemonic: {mnemonic}$", block, re.M)]
    assert found, f"no {mnemonic} in {actions[:4000]}"
    return found


def test_its_cuda_toolkit_compiles_the_kernels(actions: str) -> None:
    for command in commands(actions, "CudaCompile"):
        assert re.search(r"[( ]cuda/bin/nvcc\b", command), command
    assert "awq_cuda_" not in actions


def test_its_pytorch_is_compiled_against(actions: str) -> None:
    [command] = [c for c in commands(actions, "CppCompile") if "csrc/bindings/pybind11_form.cc" in c]
    assert "torch/site-packages/torch/include" in command
    assert "_GLIBCXX_USE_CXX11_ABI=0" in command
    [link] = [c for c in commands(actions, "CppLink") if "ft_attention_library.so" in c]
    assert "torch/site-packages/torch/lib/libtorch_python.so" in link
    assert "awq_torch_" not in actions


def test_its_python_names_the_module_and_gives_the_headers(actions: str) -> None:
    [name] = [c for c in commands(actions, "PyExtensionName") if "ft_attention" in c]
    assert "ft_attention.cpython-312-x86_64-linux-gnu.so" in name
    [command] = [c for c in commands(actions, "CppCompile") if "csrc/bindings/arguments.cc" in c]
    assert "python_3_12/include" in command


def test_its_cpp_toolchain_is_used(actions: str) -> None:
    for command in commands(actions, "CppCompile") + commands(actions, "CppLink"):
        assert re.search(r"[( ]cc/bin/g\+\+ ", command), command
    assert "host_compiler.txt" not in actions and "awq_gcc" not in actions


def test_nothing_is_fetched_for_it(consumer: Consumer, actions: str) -> None:
    assert actions
    output_base = consumer.check(consumer.bazel("info", "output_base", "--noshow_progress")).split()[-1]
    folders = [entry for entry in (pathlib.Path(output_base) / "external").iterdir() if entry.is_dir()]
    fetched = {entry.name for entry in folders if "awq_" in entry.name}
    assert {re.sub(r".*[~+](?=.)", "", name.rstrip("~+")) for name in fetched} <= {
        "awq_kernels",
        "awq_cuda",
        "awq_environment",
        "awq_torch",
    }


def test_the_example_names_versions_that_are_tested() -> None:
    """What the example asks for is what this workspace asks for, so that it raises no version."""

    def versions(path: str) -> dict[str, str]:
        return dict(re.findall(r'bazel_dep\(name = "(\w+)", version = "([\d.]+)"\)', (ROOT / path).read_text()))

    named = versions("examples/monorepo_bzlmod/MODULE.bazel")
    [own] = re.findall(r'^    version = "([\d.]+)",$', (ROOT / "MODULE.bazel").read_text(), re.M)
    assert named and named.items() <= (versions("MODULE.bazel") | {"awq_kernels": own}).items()


def test_what_is_public_is_listed(consumer: Consumer) -> None:
    """docs/monorepo.md and docs/settings.md name what this project offers, and nothing else can be depended on."""
    here = f"@{consumer.repository}//"
    packages = [
        ":all",
        "bazel/...",
        "config/...",
        "csrc/...",
        "python/...",
        "toolchains/cuda/...",
        "toolchains/torch/...",
    ]
    query = f"visible(//:linear, {' + '.join(here + package for package in packages)})"
    printed = consumer.check(consumer.bazel("query", "--noshow_progress", "--output=label_kind", query))
    found = {(kind, target) for kind, target in re.findall(r"^(\w+) rule @@?[^/]*(//\S+)$", printed, re.M)}
    by_value = {target for kind, target in found if kind == "config_setting" and target != "//config:with_gpu"}
    assert [target for target in by_value if not re.fullmatch(r"//config:(cuda|python|torch)_[\d.a-z]+", target)] == []

    pages = "\n".join((ROOT / "docs" / page).read_text() for page in ("monorepo.md", "settings.md"))
    cells = [row.split(" | ")[0] for row in re.findall(r"^\| (.*)", pages, re.M)]
    listed = {target for cell in cells for target in re.findall(r"`(?:--)?(//[\w/]*(?::\w+)?)`", cell)}
    public = {target for _, target in found} - by_value
    assert {re.sub(r"/(\w+):\1$", r"/\1", target) for target in public} == listed


def test_its_toolkit_has_to_be_named(consumer: Consumer, choices: list[str]) -> None:
    """The kernels of one toolkit and the headers of another would be a bad mixture."""
    others = [choice for choice in choices if "registered" not in choice]
    result = consumer.bazel("build", "--nobuild", *others, f"@{consumer.repository}//:ft_attention")
    assert result.returncode != 0
    assert "the registered CUDA toolchain is not the one that is asked for" in result.stdout, result.stdout[-4000:]
    assert "config:cuda=registered" in result.stdout

"""PyTorch from a release's locked wheel: C++ targets for builds, and the Python package for tests."""

load("//bazel/lib:installed_torch.bzl", "cxx11_abi", "torch_facts")
load("//bazel/lib:problems.bzl", "FETCHED_TORCH")
load("//third_party/pip:wheels.bzl", "download_wheels")

# All targets that other packages refer to.
TARGETS = ["pybind11", "torch_cc", "torch_py"]

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_python//python:defs.bzl", "py_library")
load("{defs_bzl}", "torch_cc", "torch_info")

package(default_visibility = ["//visibility:public"])

# What extension modules are compiled against.
torch_cc(
    name = "torch_cc",
    about = ["torch/version.py"] + glob(["torch-*.dist-info/**/LICENSE"], allow_empty = True),
    cc = ":torch_python",
    info = ":info",
)

torch_info(
    name = "info",
    cuda = "{cuda}",
    python = "{python}",
    version = "{version}",
    where = "{where}",
)

# One pybind11 per module: the copy torch was built with, or its type casters do not fit.
cc_library(
    name = "pybind11",
    hdrs = glob(["torch/include/pybind11/**"]),
    includes = ["torch/include"],
)

cc_library(
    name = "headers",
    hdrs = glob(
        ["torch/include/**"],
        exclude = [
            "**/* *",
            "torch/include/pybind11/**",
            "torch/include/google/**",
            "torch/include/oneapi/**",
            "torch/include/dnnl*",
            "torch/include/tensorpipe/**",
        ],
    ),
    defines = ["_GLIBCXX_USE_CXX11_ABI={cxx11_abi}"],
    includes = [
        "torch/include",
        "torch/include/torch/csrc/api/include",
    ],
    deps = [":pybind11"],
)

# Linked against as files, so that Bazel neither ships them nor adds run paths of its own: at run time the user's torch has
# them loaded, or lies where the module's run path points.
_LIBRARIES = [
    "torch/lib/libc10.so",
    "torch/lib/libc10_cuda.so",
    "torch/lib/libtorch.so",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libtorch_python.so",
]

cc_library(
    name = "torch_python",
    additional_linker_inputs = _LIBRARIES,
    linkopts = ["$(location {})".format(library) for library in _LIBRARIES],
    visibility = ["//visibility:private"],
    deps = [":headers"],
)

# torch as Python code imports it, with all it needs.
py_library(
    name = "torch_py",
    srcs = glob(
        [
            "functorch/**/*.py",
            "torch/**/*.py",
            "torchgen/**/*.py",
        ],
        allow_empty = True,  # not every release has all of them
        exclude = [
            "**/* *",
            "torch/include/**",
        ],
    ),
    data = glob(
        [
            "torch/lib/*.so*",
            "torch/*.so",
            "torch/_C/**",
            "torch/bin/torch_shm_manager",
            "torch/**/*.pyi",
            "torch/**/py.typed",
            "torch-*.dist-info/**",
            "torchgen/**/*.yaml",
        ],
        allow_empty = True,
        exclude = ["**/* *"],
    ),
    imports = ["."],
    deps = ["{runtime}"],
)
"""

def declare_torch_targets(rctx, cpython, where, runtime, more = ""):
    """Writes the BUILD file of a repository that has a folder torch/.

    Args:
      rctx: the repository context.
      cpython: the Python version that PyTorch is for, such as "3.11"; "" if unknown.
      where: its origin as text for messages.
      runtime: label of the further packages that importing torch needs.
      more: text that is appended to the file.
    """
    abi, error = cxx11_abi(rctx, "torch/lib/libc10.so")
    if error:
        fail(error)
    facts = torch_facts(rctx.read("torch/version.py"))
    text = _BUILD
    for name, value in {
        "cuda": facts.cuda,
        "cxx11_abi": abi,
        "defs_bzl": str(Label(":defs.bzl")),
        "python": cpython,
        "runtime": runtime,
        "version": facts.version,
        "where": where,
    }.items():
        text = text.replace("{" + name + "}", value)
    rctx.file("BUILD.bazel", text + more, executable = False)

def _torch_repo_impl(rctx):
    download_wheels(rctx, rctx.attr.lock, ["torch"], rctx.attr.python_version, ".", gigabytes = 3)
    declare_torch_targets(rctx, rctx.attr.python_version, FETCHED_TORCH, "@{}//:site_packages".format(rctx.attr.runtime))

torch_repo = repository_rule(
    implementation = _torch_repo_impl,
    doc = "PyTorch's wheel, unpacked, with targets for C++ and Python.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "Lock file that has torch."),
        "python_version": attr.string(mandatory = True, doc = "The CPython the wheel is for."),
        "runtime": attr.string(mandatory = True, doc = "Repository of the further packages that importing torch needs."),
    },
)

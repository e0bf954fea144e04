"""PyTorch from its locked wheel: what a build needs of it, as C++ targets, and the package itself for tests."""

load("//third_party/python:interpreters.bzl", "find_interpreter")
load("//third_party/wheels:wheels.bzl", "PIP_PYTHONS", "download_wheels")

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

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
]

# For C++ code that uses tensors. Without libtorch_python, which needs the symbols of a Python interpreter.
cc_library(
    name = "torch",
    additional_linker_inputs = _LIBRARIES,
    linkopts = ["$(location {})".format(library) for library in _LIBRARIES],
    deps = [":headers"],
)

# For Python extension modules.
cc_library(
    name = "torch_python",
    additional_linker_inputs = ["torch/lib/libtorch_python.so"],
    linkopts = ["$(location torch/lib/libtorch_python.so)"],
    deps = [":torch"],
)

# The package, without what it needs at run time and without headers.
py_library(
    name = "package",
    srcs = glob(
        [
            "functorch/**/*.py",
            "torch/**/*.py",
            "torchgen/**/*.py",
        ],
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
        exclude = ["**/* *"],
    ),
    imports = ["."],
)
"""

# In Itanium mangling, symbols that take the new std::string hold this.
_CXX11_ABI_PROBE = """
import sys
data = open(sys.argv[1], "rb").read()
print(int(b"St7__cxx1112basic_string" in data))
"""

def _torch_repo_impl(rctx):
    download_wheels(rctx, rctx.attr.lock, ["torch"], rctx.attr.python_version, rctx.attr.cpu, ".")
    python, _ = find_interpreter(rctx, PIP_PYTHONS, ["pip"])
    probe = rctx.execute([python.path, "-c", _CXX11_ABI_PROBE, "torch/lib/libc10.so"])
    if probe.return_code != 0:
        fail("cannot read torch/lib/libc10.so: " + probe.stderr)
    rctx.file("BUILD.bazel", _BUILD.replace("{cxx11_abi}", probe.stdout.strip()), executable = False)

    # version.py holds lines such as: cuda: Optional[str] = '13.0'
    facts = {}
    for line in rctx.read("torch/version.py").split("\n"):
        name, _, value = line.partition("=")
        facts[name.split(":")[0].strip()] = value.strip().strip("'\"")
    rctx.file(
        "torch.bzl",
        "\"\"\"What this torch is.\"\"\"\n\nTORCH_VERSION = \"{}\"\nTORCH_CUDA_VERSION = \"{}\"\n".format(
            facts["__version__"],
            facts["cuda"],
        ),
        executable = False,
    )

torch_repo = repository_rule(
    implementation = _torch_repo_impl,
    doc = "PyTorch's wheel, unpacked, with targets for C++ and Python.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "Lock file that has torch."),
        "python_version": attr.string(mandatory = True, doc = "The CPython the wheel is for."),
        "cpu": attr.string(default = "x86_64", values = ["x86_64", "aarch64"], doc = "The processor the wheel is for."),
    },
)

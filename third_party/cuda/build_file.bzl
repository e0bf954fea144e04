"""The BUILD file of a toolkit's repository. Fetched and installed toolkits have the same file."""

# The repository has the usual layout of a toolkit: bin, include, nvvm and lib. nvcc finds its parts relative to itself.
# The BUILD file declares the toolchain with rules_cuda's public rules, so it works with rules_cuda and
# offline/rules_cuda. CUB, Thrust and libcu++ are left out, because no kernel uses them. cuda_fp16.h needs nv/target.
_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load(
    "@rules_cuda//cuda:defs.bzl",
    "cuda_toolchain",
    "cuda_toolchain_config_nvcc",
    "cuda_toolkit_info",
)

package(default_visibility = ["//visibility:public"])

filegroup(
    name = "headers",
    srcs = glob(
        ["include/**/*.h", "include/**/*.hpp", "include/nv/**"],
        allow_empty = True,  # not every version has all of them
        exclude = [
            "include/cccl/**",
            "include/cub/**",
            "include/cuda/**",
            "include/thrust/**",
        ],
    ),
)

filegroup(
    name = "compiler_files",
    srcs = glob(
        [
            "bin/bin2c",
            "bin/crt/**",
            "bin/cudafe++",
            "bin/fatbinary",
            "bin/nvcc",
            "bin/nvcc.profile",
            "bin/nvlink",
            "bin/ptxas",
            "nvvm/bin/**",
            "nvvm/libdevice/**",
        ],
        allow_empty = True,
    ) + [":headers"],
)

# For what holds parts of the toolkit. One that is installed on the machine need not have the file.
filegroup(
    name = "license",
    srcs = glob(["LICENSE"], allow_empty = True),
)

# Linked statically: a module then needs no libcudart.so of the right version on the user's machine.
cc_library(
    name = "runtime",
    srcs = ["lib/libcudart_static.a"],
    hdrs = [":headers"],
    includes = ["include"],
    linkopts = [
        "-ldl",
        "-lpthread",
        "-lrt",
    ],
)

cuda_toolkit_info(
    name = "toolkit_info",
    bin2c = "bin/bin2c",
    fatbinary = "bin/fatbinary",
    link_stub = "bin/crt/link.stub",
    nvlink = "bin/nvlink",
    path = "",  # the tools' own folders go into the actions' PATH, relative
    ptxas = "bin/ptxas",
    version = "{version}",
)

cuda_toolchain_config_nvcc(
    name = "toolchain_config",
    cuda_toolkit = ":toolkit_info",
    nvcc_version_major = {major},
    nvcc_version_minor = {minor},
    toolchain_identifier = "nvcc",
)

cuda_toolchain(
    name = "nvcc_toolchain",
    compiler_files = [":compiler_files"],
    compiler_label = "bin/nvcc",
    toolchain_config = ":toolchain_config",
)

# For the test that compares the table of CUDA versions with the toolkit.
filegroup(
    name = "nvcc",
    srcs = ["bin/nvcc"],
)

filegroup(
    name = "host_config.h",
    srcs = ["include/crt/host_config.h"],
)
"""

# All targets that other packages refer to.
TARGETS = ["host_config.h", "license", "nvcc", "nvcc_toolchain", "runtime"]

def toolkit_build_file(version):
    """The BUILD file.

    Args:
      version: of the toolkit, as major.minor.

    Returns:
      Its text.
    """
    major, minor = version.split(".")
    return _BUILD.format(
        major = major,
        minor = minor,
        version = version,
    )

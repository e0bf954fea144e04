"""The CUDA toolkit as a repository: nvcc, its headers and the runtime, assembled from the vendor's locked wheels.

Nothing of CUDA on the host is looked at. The wheels are unpacked over each other, which gives the usual layout of a
toolkit (bin, include, lib, nvvm), in which nvcc finds its parts relative to itself. The repository declares its own
`cuda_toolchain` with rules_cuda's public rules, so that it works with rules_cuda and with third_party/rules_cuda_subset.
"""

load("//third_party/wheels:wheels.bzl", "download_wheels", "locked_requirements")

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load(
    "@rules_cuda//cuda:defs.bzl",
    "cuda_toolchain",
    "cuda_toolchain_config_nvcc",
    "cuda_toolkit_info",
)

package(default_visibility = ["//visibility:public"])

exports_files(["LICENSE.txt"] + glob(["bin/**", "nvvm/**"]))

filegroup(
    name = "headers",
    srcs = glob(
        ["include/**"],
        exclude = ["include/cccl/**"],
    ),
)

filegroup(
    name = "compiler_files",
    srcs = glob([
        "bin/**",
        "nvvm/**",
    ]) + [":headers"],
)

# The runtime is linked statically: a module then needs no libcudart.so of the right version on the user's machine.
cc_library(
    name = "runtime",
    srcs = ["{libdir}/libcudart_static.a"],
    hdrs = [":headers"],
    includes = ["include"],
    linkopts = [
        "-ldl",
        "-lpthread",
        "-lrt",
    ],
)

# libcu++, CUB and Thrust, for targets that want them.
cc_library(
    name = "cccl",
    hdrs = glob(["include/cccl/**"]),
    includes = ["include/cccl"],
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
"""

def _cuda_toolkit_repo_impl(rctx):
    version = rctx.attr.version
    packages = locked_requirements(rctx.read(rctx.path(rctx.attr.lock))).keys()
    download_wheels(rctx, rctx.attr.lock, packages, "3.11", rctx.attr.cpu, "wheel")
    major, minor = version.split(".")
    root = "wheel/nvidia/cu" + major
    for part in ["bin", "include", "lib", "nvvm"]:
        result = rctx.execute(["mv", "{}/{}".format(root, part), part])
        if result.return_code != 0:
            fail("the wheels of {} hold no {}/{}: {}".format(rctx.attr.lock, root, part, result.stderr))
    licenses = [f.get_child("licenses").get_child("License.txt") for f in rctx.path("wheel").readdir() if f.basename.endswith(".dist-info")]
    rctx.execute(["mv", [f for f in licenses if f.exists][0], "LICENSE.txt"])
    rctx.delete("wheel")
    rctx.file("BUILD.bazel", _BUILD.format(version = version, major = major, minor = minor, libdir = "lib"), executable = False)
    rctx.file("toolkit.bzl", "\"\"\"What the toolkit is.\"\"\"\n\nCUDA_VERSION = \"{}\"\n".format(version), executable = False)

cuda_toolkit_repo = repository_rule(
    implementation = _cuda_toolkit_repo_impl,
    doc = "A hermetic CUDA toolkit.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "CUDA version as major.minor."),
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The wheels the toolkit is made of, with hashes."),
        "cpu": attr.string(default = "x86_64", values = ["x86_64", "aarch64"], doc = "The processor nvcc runs on."),
    },
)

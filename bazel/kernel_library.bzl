"""The macro for kernel families."""

load("@rules_cuda//cuda:defs.bzl", "cuda_library")
load("//config:archs.bzl", "selected_archs")

_COPTS = [
    "-std=c++17",
    # Compiles up to four architectures at a time.
    "--threads",
    "4",
    # Machine code compresses to a quarter of its size. A kernel is unpacked when it is first used.
    "-Xfatbin=-compress-all",
]

# Host code has the same optimization as CXX_COPTS. Device code is optimized in every compilation mode.
_HOST_COPTS = select({
    Label("//config:dbg"): [],
    "//conditions:default": ["-O2"],
})

def kernel_library(name, archs = None, **kwargs):
    """A cuda_library for the architectures that //config:cuda_archs selects.

    Args:
      name: name of the target.
      archs: architecture specs of rules_cuda, such as ["compute_90a:sm_90a"], for code of certain GPUs only. A setting
        such as `//config:hopper` decides whether a target depends on such a library.
      **kwargs: attributes of cuda_library.
    """
    cuda_library(
        name = name,
        archs = archs or selected_archs(),
        host_copts = _HOST_COPTS,
        copts = _COPTS,
        **kwargs
    )

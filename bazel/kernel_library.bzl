"""The macro for kernel families."""

load("@rules_cuda//cuda:defs.bzl", "cuda_library")
load("//config:archs.bzl", "selected_archs")

_COPTS = [
    "-std=c++17",
    # Several architectures at a time.
    "--threads",
    "4",
    # Machine code compresses to a quarter; a kernel is unpacked when it is first used.
    "-Xfatbin=-compress-all",
]

# Optimized as CXX_COPTS are; device code is so in every compilation mode.
_HOST_COPTS = select({
    Label("//config:dbg"): [],
    "//conditions:default": ["-O2"],
})

def kernel_library(name, archs = None, **kwargs):
    """A cuda_library for the architectures that //config:cuda_archs selects.

    Args:
      name: name of the target.
      archs: rules_cuda's architecture specs for code that exists for certain GPUs only, such as ["compute_90a:sm_90a"]. Such
        a library is depended on where `//config:hopper` or its like says so.
      **kwargs: attributes of cuda_library.
    """
    cuda_library(
        name = name,
        archs = archs or selected_archs(),
        host_copts = _HOST_COPTS,
        copts = _COPTS,
        **kwargs
    )

"""The macro for kernel families."""

load("@rules_cuda//cuda:defs.bzl", "cuda_library")
load("//config:settings.bzl", "selected_archs")

_COPTS = [
    "-std=c++17",
    # Machine code compresses to a quarter; a kernel is unpacked when it is first used.
    "-Xfatbin=-compress-all",
]

def kernel_library(name, only_archs = None, copts = [], **kwargs):
    """A cuda_library for the architectures that //config:cuda_archs selects.

    Args:
      name: name of the target.
      only_archs: architectures to which the library is limited, such as ["90a"]; None for all.
      copts: options for nvcc.
      **kwargs: attributes of cuda_library.
    """
    cuda_library(
        name = name,
        archs = selected_archs(only_archs),
        copts = _COPTS + copts,
        **kwargs
    )

"""The macro for kernel families."""

load("@rules_cuda//cuda:defs.bzl", "cuda_library")
load("//config:settings.bzl", "selected_archs")

def kernel_library(name, only_archs = None, **kwargs):
    """A cuda_library for the architectures that //config:cuda_archs selects.

    Args:
      name: name of the target.
      only_archs: architectures to which the library is limited, such as ["90a"]; None for all.
      **kwargs: attributes of cuda_library.
    """
    cuda_library(
        name = name,
        archs = selected_archs(only_archs),
        **kwargs
    )

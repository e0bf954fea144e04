"""Kernels are compiled once for a toolkit and its architectures. Modules for all PyTorches and Pythons share them."""

load("@awq_environment//:environment.bzl", "DEFAULT_PYTHON")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//bazel/lib:checks.bzl", "toolkit_of_torch")
load("//third_party:versions.bzl", "DEFAULT_CUDA", "DEFAULT_TORCH", "OFFERS")

_CUDA = str(Label("//config:cuda"))
_MISMATCH = str(Label("//config:allow_cuda_minor_mismatch"))
_PYTHON = str(Label("//config:python"))
_TORCH = str(Label("//config:torch"))

def _without_torch_and_python_impl(settings, _):
    cuda, torch = settings[_CUDA], settings[_TORCH]
    if torch == "local":
        if cuda == "auto":  # only the installed PyTorch can resolve it
            return settings
    elif cuda == "auto":
        cuda = toolkit_of_torch(OFFERS.torch[torch].cuda, OFFERS)
    return {
        _CUDA: "auto" if cuda == DEFAULT_CUDA else cuda,
        _MISMATCH: False,
        _PYTHON: DEFAULT_PYTHON,
        _TORCH: DEFAULT_TORCH,
    }

_without_torch_and_python = transition(
    implementation = _without_torch_and_python_impl,
    inputs = [_CUDA, _MISMATCH, _PYTHON, _TORCH],
    outputs = [_CUDA, _MISMATCH, _PYTHON, _TORCH],
)

def _kernels_impl(ctx):
    library = ctx.attr.library
    return [library[CcInfo], DefaultInfo(files = library[DefaultInfo].files)]

kernels = rule(
    implementation = _kernels_impl,
    doc = "A library of kernels in the configuration that modules for all PyTorches and Pythons share.",
    cfg = _without_torch_and_python,
    attrs = {
        "library": attr.label(mandatory = True, providers = [CcInfo], doc = "The library."),
    },
)

"""The project's wheels: what they have in common, and which there are."""

load("@awq_environment//:environment.bzl", "DEFAULT_PYTHON", "OFFLINE")
load("//bazel/wheel:hub_kernel.bzl", "hub_kernel")
load("//bazel/wheel:wheel.bzl", "extension_wheel")
load("//bazel/wheel:wheels.bzl", "wheels")
load("//third_party:versions.bzl", "CUDA_TOOLKITS", "DEBIAN_PYTHONS", "TORCH_RELEASES", "UNIVERSAL_CUDA", "universal_fits", "wheels_lock")

_DISTRIBUTION = "awq-kernels"
_SUMMARY = "CUDA kernels for 4-bit (AWQ) language models"
_VERSION = "0.1.0"  # MODULE.bazel's; a test compares them

def awq_wheel(name, modules, torch = None):
    """Builds the folder `name` with a wheel of extension modules and the Python package beside them.

    Args:
      name: name of the target and of the folder.
      modules: `py_extension` targets.
      torch: the PyTorch that the modules are for, or None for universal modules.
    """
    extension_wheel(
        name = name,
        cuda_runtime = "@awq_cuda//:runtime",
        distribution = _DISTRIBUTION,
        extras = {"checkpoint": [
            "gguf>=0.17",
            "safetensors>=0.4",
            "tqdm",
        ]},
        license = "//:LICENSE",
        modules = modules,
        package = "//python:awq_kernels_files",
        readme = "//python:DESCRIPTION.md",
        requires_python = "3.10",
        summary = _SUMMARY,
        toolkit_license = "@awq_cuda//:license",
        toolkit_lock = select({
            "//config:cuda_" + version: wheels_lock(toolkit.lock)
            for version, toolkit in CUDA_TOOLKITS.items()
            if hasattr(toolkit, "lock")
        } | {"//conditions:default": None}),
        torch = torch,
        version = _VERSION,
    )

def awq_hub_kernel(name, toolkits, **kwargs):
    """Builds the folder `name` with the universal modules as Hugging Face's library `kernels` loads them.

    Args:
      name: name of the target and of the folder.
      toolkits: the CUDA toolkits to build with, such as ["12.4", "13.0"].
      **kwargs: attributes common to all rules.
    """
    hub_kernel(
        name = name,
        cpu = select({
            "@platforms//cpu:aarch64": "aarch64",
            "//conditions:default": "x86_64",
        }),
        distribution = _DISTRIBUTION,
        license = "Apache-2.0",
        modules = [
            "//python/universal:awq_inference_engine",
            "//python/universal:ft_attention",
        ],
        summary = _SUMMARY,
        toolkits = toolkits,
        version = _VERSION,
        **kwargs
    )

def all_wheels(name):
    """Builds the folder `name` with every wheel that //third_party:versions.bzl offers and that can be built here.

    Universal ones for each driver generation, and one for each PyTorch and Python that those do not fit. The offline mode has a
    toolkit for older PyTorches from Debian's packages, and the Pythons that Debian or the machine has.

    Args:
      name: name of the target and of the folder.
    """
    pythons = DEBIAN_PYTHONS + [DEFAULT_PYTHON] if OFFLINE else None
    wheels(
        name = name,
        pairings = [
            "/".join([torch, python, UNIVERSAL_CUDA[release.cuda.split(".")[0]]])
            for torch, release in TORCH_RELEASES.items()
            if not universal_fits(torch)
            for python in release.pythons
            if not pythons or python in pythons
        ],
        pinned = ":torch_wheel",
        toolkits = UNIVERSAL_CUDA.values(),
        universal = "//python/universal:wheel",
    )

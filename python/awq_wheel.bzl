"""What the project's wheels have in common."""

load("//bazel/wheel:wheel.bzl", "extension_wheel")
load("//third_party:versions.bzl", "CUDA_TOOLKITS", "wheels_lock")

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
        distribution = "awq-kernels",
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
        summary = "CUDA kernels for 4-bit (AWQ) language models",
        toolkit_license = "@awq_cuda//:license",
        toolkit_lock = select({
            "//config:cuda_" + version: wheels_lock(toolkit.lock)
            for version, toolkit in CUDA_TOOLKITS.items()
            if hasattr(toolkit, "lock")
        } | {"//conditions:default": None}),
        torch = torch,
        version = "0.1.0",  # MODULE.bazel's; a test compares them
    )

"""Module extension for bzlmod."""

load(":dependencies.bzl", "awq_dependencies")

def _dependencies_impl(mctx):
    awq_dependencies()
    return mctx.extension_metadata(reproducible = True)

dependencies = module_extension(
    implementation = _dependencies_impl,
    doc = "The CUDA toolkit, PyTorch, test packages and tools.",
)

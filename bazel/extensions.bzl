"""Module extensions for bzlmod."""

load(":dependencies.bzl", "awq_dependencies")
load(":dev_dependencies.bzl", "awq_dev_dependencies")

def _dependencies_impl(mctx):
    awq_dependencies()
    return mctx.extension_metadata(reproducible = True)

dependencies = module_extension(
    implementation = _dependencies_impl,
    doc = "What the modules are built with: CUDA toolkits and PyTorch.",
)

def _dev_dependencies_impl(mctx):
    awq_dev_dependencies()
    return mctx.extension_metadata(reproducible = True)

dev_dependencies = module_extension(
    implementation = _dev_dependencies_impl,
    doc = "What this project's own tests and tools need besides.",
)

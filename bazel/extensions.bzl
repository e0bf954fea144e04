"""Module extensions for bzlmod."""

load("//bazel/lib:problems.bzl", "format_problem", "problem")
load(":dependencies.bzl", "awq_dependencies")
load(":dev_dependencies.bzl", "awq_dev_dependencies")

def _dependencies_impl(mctx):
    # bzlmod calls this function. --config=workspace switches bzlmod off in every Bazel that still has WORKSPACE mode.
    if mctx.getenv("AWQ_WORKSPACE_MODE"):
        fail(format_problem(problem(
            title = "this Bazel has no WORKSPACE mode",
            found = "--config=workspace, and dependencies are taken from MODULE.bazel",
            expected = "Bazel 7 or 8 for --config=workspace; Bazel 9 has no WORKSPACE",
            cure = "leave out --config=workspace, or use Bazel 7 or 8",
        )))
    awq_dependencies()
    return mctx.extension_metadata(reproducible = True)

dependencies = module_extension(
    implementation = _dependencies_impl,
    doc = "The repositories that the modules are built with: CUDA toolkits and PyTorch.",
)

def _dev_dependencies_impl(mctx):
    awq_dev_dependencies()
    return mctx.extension_metadata(reproducible = True)

dev_dependencies = module_extension(
    implementation = _dev_dependencies_impl,
    doc = "Further repositories, for this project's own tests and tools.",
)

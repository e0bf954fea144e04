"""Third step: the repositories of rules_cuda and rules_python."""

load("@rules_cuda//cuda:repositories.bzl", "rules_cuda_dependencies", "rules_cuda_toolchains")
load("@rules_python//python:repositories.bzl", "py_repositories")

def toolchains_setup():
    """Declares the repositories."""

    # The repository @cuda must exist. Builds use this project's own toolchain.
    rules_cuda_dependencies()
    rules_cuda_toolchains(register_toolchains = False)
    py_repositories()

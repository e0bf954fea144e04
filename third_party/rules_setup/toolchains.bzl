"""Third step: CUDA's and Python's own repositories."""

load("@rules_cuda//cuda:repositories.bzl", "rules_cuda_dependencies", "rules_cuda_toolchains")
load("@rules_python//python:repositories.bzl", "py_repositories", "python_register_toolchains")

def toolchains_setup(python_versions):
    """Declares the repositories of rules_cuda and rules_python, hermetic interpreters among them.

    Args:
      python_versions: the Python versions to declare as @python_3_11 and so on.
    """

    # @cuda has to exist; the toolchain that is used is this project's own.
    rules_cuda_dependencies()
    rules_cuda_toolchains(register_toolchains = False)
    py_repositories()
    for version in python_versions:
        python_register_toolchains(
            name = "python_" + version.replace(".", "_"),
            python_version = version,
            register_toolchains = False,
        )

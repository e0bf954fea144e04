"""Third step: Python is what the machine has."""

load("@awq_kernels//third_party/python:local_python.bzl", "local_python_repo")

def toolchains_setup(python_versions):
    """Declares the machine's interpreters.

    Args:
      python_versions: the Python versions to declare as @python_3_11 and so on.
    """
    for version in python_versions:
        local_python_repo(
            name = "python_" + version.replace(".", "_"),
            version = version,
        )

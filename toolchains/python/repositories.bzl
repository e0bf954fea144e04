"""The Pythons of this project's own builds, in WORKSPACE mode."""

load("@rules_python//python:repositories.bzl", "python_register_toolchains")
load("//third_party:versions.bzl", "PYTHON_VERSIONS")

def python_repositories():
    """Declares one repository per version, such as @python_3_11. Their toolchains are in //toolchains/python."""
    for version in PYTHON_VERSIONS:
        python_register_toolchains(
            name = "python_" + version.replace(".", "_"),
            python_version = version,
            register_toolchains = False,
        )

"""The targets of @awq_packages: Python packages for the workspace's own programs, by Python version."""

load("//third_party:versions.bzl", "ALONE_PACKAGES", "CHECKPOINT_PACKAGES", "PYTHON_PACKAGES")
load("//toolchains/python:by_python.bzl", "alias_by_python")

def package_targets(name):
    """Declares the aliases.

    Args:
      name: unused. Every macro has this parameter.
    """
    for target in PYTHON_PACKAGES.keys() + CHECKPOINT_PACKAGES.keys():
        alias_by_python(
            name = target,
            actual = "@awq_" + target + "_{tag}//:site_packages",
            visibility = ["//visibility:public"],
        )
    for target in ALONE_PACKAGES:
        native.alias(
            name = target,
            actual = "@awq_" + target + "//:site_packages",
            visibility = ["//visibility:public"],
        )

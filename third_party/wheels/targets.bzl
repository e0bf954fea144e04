"""The targets of @awq_packages: Python packages for tests and benchmarks, by Python version."""

load("//third_party:by_python.bzl", "alias_by_python")

def package_targets(name):
    """Declares the aliases.

    Args:
      name: unused; macros have one.
    """
    for target in ["pytest", "matplotlib"]:
        alias_by_python(
            name = target,
            actual = "@awq_" + target + "_{tag}//:site_packages",
            visibility = ["//visibility:public"],
        )

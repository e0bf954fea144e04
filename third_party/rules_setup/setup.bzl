"""What the rules' own repositories want called from WORKSPACE, once they are declared.

The offline mode replaces this repository by third_party/bazel_offline/rules_setup.
"""

load("@bazel_features//:deps.bzl", "bazel_features_deps")
load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")
load("@rules_cc//cc:extensions.bzl", "compatibility_proxy_repo")
load("@rules_cuda//cuda:repositories.bzl", "rules_cuda_dependencies", "rules_cuda_toolchains")
load("@rules_python//python:repositories.bzl", "py_repositories", "python_register_toolchains")

def rules_setup(python_versions):
    """Calls the rules' set-up functions.

    Args:
      python_versions: the Python versions to declare as @python_3_11 and so on.
    """
    bazel_features_deps()
    bazel_skylib_workspace()
    compatibility_proxy_repo()

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

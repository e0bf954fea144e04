"""What the rules' own repositories want called from WORKSPACE first, once they are declared.

The offline mode replaces this repository by third_party/bazel_offline/rules_setup.
"""

load("@bazel_features//:deps.bzl", "bazel_features_deps")
load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")
load("@rules_cc//cc:extensions.bzl", "compatibility_proxy_repo")

def rules_setup():
    """Declares the repositories that loading the rules needs."""
    bazel_features_deps()
    bazel_skylib_workspace()
    compatibility_proxy_repo()

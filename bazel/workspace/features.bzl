"""First step of the rules' set-up: what tells rules which Bazel they run on.

Each of the three files of this repository can only be loaded after the one before was called. The offline mode replaces
the repository by offline/rules_setup.
"""

load("@bazel_features//:deps.bzl", "bazel_features_deps")
load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")

def features_setup():
    """Declares the repositories of bazel_features and Skylib."""
    bazel_features_deps()
    bazel_skylib_workspace()

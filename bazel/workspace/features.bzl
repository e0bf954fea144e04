"""First step of the set-up of the rules: the repositories that tell rules which Bazel runs them.

This repository has three files. Each can be loaded only after the function of the file before was called. The offline
mode replaces this repository by offline/rules_setup.
"""

load("@bazel_features//:deps.bzl", "bazel_features_deps")
load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")

def features_setup():
    """Declares the repositories of bazel_features and Skylib."""
    bazel_features_deps()
    bazel_skylib_workspace()

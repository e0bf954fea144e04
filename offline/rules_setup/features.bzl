"""Stands for bazel/workspace offline, in the same steps. Debian's rules need little set-up."""

load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")

def features_setup():
    """Declares Skylib's repositories."""
    bazel_skylib_workspace()

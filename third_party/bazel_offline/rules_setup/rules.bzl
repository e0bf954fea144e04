"""Stands for third_party/rules_setup offline: Debian's rules need little set-up."""

load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")

def rules_setup():
    """Declares the repositories that loading the rules needs."""
    bazel_skylib_workspace()

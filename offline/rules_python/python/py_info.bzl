"""Bazel 7's own provider."""

load("//python/private:builtins.bzl", "BuiltinPyInfo")

PyInfo = BuiltinPyInfo

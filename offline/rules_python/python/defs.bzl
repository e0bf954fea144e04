"""Bazel 7's own Python rules."""

load(":py_info.bzl", _PyInfo = "PyInfo")

PyInfo = _PyInfo

def py_binary(**kwargs):
    native.py_binary(**kwargs)  # buildifier: disable=native-python

def py_library(**kwargs):
    native.py_library(**kwargs)  # buildifier: disable=native-python

def py_test(**kwargs):
    native.py_test(**kwargs)  # buildifier: disable=native-python

"""See defs.bzl."""

load(":defs.bzl", _py_library = "py_library")

py_library = _py_library

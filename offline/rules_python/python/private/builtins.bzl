"""Bazel's own provider under another name, because a file cannot define a name that it reads."""

BuiltinPyInfo = PyInfo

"""Compiler options of all C++ code here. Targets set them: other workspaces do not read this project's .bazelrc."""

# Optimized in every compilation mode except dbg: the code before a kernel's launch costs as much as a small kernel.
CXX_COPTS = ["-std=c++17"] + select({
    Label("//config:dbg"): [],
    "//conditions:default": ["-O2"],
})

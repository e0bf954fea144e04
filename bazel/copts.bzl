"""Options of all C++ code here. Targets carry them, because a workspace that includes this one has an rc file of its own."""

# Optimized in every compilation mode but dbg: what stands before a kernel's launch costs as much as a small kernel.
CXX_COPTS = ["-std=c++17"] + select({
    Label("//config:dbg"): [],
    "//conditions:default": ["-O2"],
})

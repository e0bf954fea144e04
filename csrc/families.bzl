"""The kernel families: folders of csrc, each with a library of its name and a binding in csrc/bindings."""

FAMILIES = [
    "activation",
    "attention",
    "norm",
    "quantization",
    "rope",
    "w4a16",
    "w8a8",
]

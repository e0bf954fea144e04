"""Providers of the rules, with rules_cuda's names and fields as far as they are needed."""

CudaArchsInfo = provider(
    doc = "The architectures to compile for.",
    fields = {"gencodes": "A list of `-gencode` values such as `arch=compute_80,code=sm_80`, in the order given."},
)

CudaToolkitInfo = provider(
    doc = "A CUDA toolkit's version and tools.",
    fields = {
        "version_major": "int, 13 of 13.0",
        "version_minor": "int, 0 of 13.0",
        "tools": "list of Files whose folders belong into nvcc's PATH",
    },
)

CudaToolchainConfigInfo = provider(
    doc = "How nvcc is called.",
    fields = {
        "nvcc_version": "tuple (major, minor)",
        "toolkit": "CudaToolkitInfo",
    },
)

CudaInfo = provider(
    doc = "Marks a cuda_library and carries what only CUDA compilation sees.",
    fields = {"defines": "depset of strings, defines for nvcc in dependants"},
)

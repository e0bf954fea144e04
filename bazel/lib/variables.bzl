"""The environment variables that the build reads. Only repository rules read them."""

VARIABLES = [
    "AWQ_TORCH_PATH",
    "CC",
    "CUDA_HOME",
    "CUDA_PATH",
    "HOME",
    "PATH",
    "PYENV_ROOT",
    "TMPDIR",
    "TORCH_CUDA_ARCH_LIST",
]

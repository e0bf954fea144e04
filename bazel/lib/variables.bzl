"""The environment variables that the build reads, all by repository rules."""

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

"""The rules of rules_cuda that this project uses."""

load("//cuda/private:cuda_library.bzl", _cuda_library = "cuda_library")
load("//cuda/private:providers.bzl", _CudaArchsInfo = "CudaArchsInfo")
load(
    "//cuda/private:toolchain.bzl",
    _cuda_toolchain = "cuda_toolchain",
    _cuda_toolchain_config_nvcc = "cuda_toolchain_config_nvcc",
    _cuda_toolkit_info = "cuda_toolkit_info",
)

# What rules_cuda 0.3.0 knows of the architectures that CUDA 11 and newer have.
cuda_archs = "50 52 53 60 61 62 70 72 75 80 86 87 89 90 90a 100 100a 100f 101 101a 101f 103 103a 103f 120 120a 120f 121 121a 121f".split(" ")

CudaArchsInfo = _CudaArchsInfo
cuda_library = _cuda_library
cuda_toolchain = _cuda_toolchain
cuda_toolchain_config_nvcc = _cuda_toolchain_config_nvcc
cuda_toolkit_info = _cuda_toolkit_info

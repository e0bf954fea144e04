"""The repositories this project makes: CUDA toolkit, PyTorch, test packages, tools. Used by both dependency modes.

Every one is fetched only when a target that needs it is built.
"""

load("//third_party/buildifier:buildifier.bzl", "buildifier_repo")
load("//third_party/cuda:cuda_toolkit.bzl", "cuda_toolkit_repo")
load("//third_party/environment:environment.bzl", "environment_repo")
load("//third_party/host_compiler:host_compiler.bzl", "host_compiler_repo")
load("//third_party/torch:torch.bzl", "torch_repo")
load("//third_party/wheels:wheels.bzl", "wheels_repo")
load(
    ":versions.bzl",
    "BENCH_PACKAGES",
    "BUILDIFIER",
    "CUDA",
    "CUDA_BINARY_TOOLS",
    "EXTRA_PACKAGES",
    "LINT_PACKAGES",
    "LOCK_PACKAGES",
    "PYTHON_VERSIONS",
    "TEST_PACKAGES",
    "TORCH_RUNTIME_PACKAGES",
    "python_lock",
)

def awq_dependencies():
    """Declares the repositories."""
    environment_repo(name = "awq_environment")
    host_compiler_repo(name = "awq_host_compiler")
    cuda_toolkit_repo(
        name = "awq_cuda_toolkit",
        version = CUDA.version,
        lock = CUDA.lock,
    )
    for version in PYTHON_VERSIONS:
        tag = "cp" + version.replace(".", "")
        lock = python_lock(version)
        extra = EXTRA_PACKAGES.get(version, [])
        torch_repo(
            name = "awq_torch_" + tag,
            lock = lock,
            python_version = version,
        )
        wheels_repo(
            name = "awq_torch_runtime_" + tag,
            lock = lock,
            packages = TORCH_RUNTIME_PACKAGES,
            python_version = version,
        )
        wheels_repo(
            name = "awq_test_packages_" + tag,
            lock = lock,
            packages = TEST_PACKAGES + extra,
            python_version = version,
        )
        wheels_repo(
            name = "awq_bench_packages_" + tag,
            lock = lock,
            packages = BENCH_PACKAGES + extra,
            python_version = version,
        )
    wheels_repo(
        name = "awq_lint_tools",
        lock = python_lock("3.11"),
        packages = LINT_PACKAGES,
    )
    wheels_repo(
        name = "awq_cuda_binary_tools",
        lock = python_lock("3.11"),
        packages = CUDA_BINARY_TOOLS,
    )
    wheels_repo(
        name = "awq_uv",
        lock = python_lock("3.11"),
        packages = LOCK_PACKAGES,
    )
    buildifier_repo(
        name = "awq_buildifier",
        version = BUILDIFIER.version,
        sha256 = BUILDIFIER.sha256,
    )

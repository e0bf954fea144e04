"""The repositories that the modules are built from: CUDA toolkits and PyTorch. Both dependency modes use them.

A repository is fetched only when a target that needs it is built.
"""

load("//bazel/lib:hub.bzl", "hub_repo")
load("//third_party:versions.bzl", "CUDA_TOOLKITS", "PROCESSORS", "PYTHON_VERSIONS", "TORCH_RELEASES", "TORCH_UNUSED_PACKAGES", "cuda_deb_lock", "torch_lock", "wheels_lock")
load("//third_party/cuda:cuda_toolkit.bzl", "redist_toolkit_repo", "wheels_toolkit_repo")
load("//third_party/pip:wheels.bzl", "wheels_repo")
load("//third_party/torch:torch.bzl", "torch_repo")
load("//toolchains/cuda:local_toolkit.bzl", "local_toolkit_repo")
load("//toolchains/machine:environment.bzl", "environment_repo")
load("//toolchains/python:by_python.bzl", "python_tag")
load("//toolchains/torch:local_torch.bzl", "local_torch_repo")
load("//toolchains/torch:targets.bzl", "torch_repo_name")

def _cuda_repositories():
    for version, toolkit in CUDA_TOOLKITS.items():
        for cpu in PROCESSORS:
            name = "awq_cuda_{}_{}".format(version.replace(".", "_"), cpu)
            if hasattr(toolkit, "lock"):
                wheels_toolkit_repo(name = name, lock = wheels_lock(toolkit.lock, cpu = cpu), version = version)
            else:
                redist_toolkit_repo(
                    name = name,
                    cpu = cpu,
                    debs = cuda_deb_lock(version, cpu),
                    manifest = toolkit.manifest,
                    sha256 = toolkit.sha256,
                    version = version,
                )
    local_toolkit_repo(name = "awq_cuda_local")
    hub_repo(name = "awq_cuda", bzl = Label("//toolchains/cuda:targets.bzl"), macro = "cuda_targets")

def _torch_repositories():
    for torch, release in TORCH_RELEASES.items():
        for python in release.pythons:
            for cpu in PROCESSORS:
                lock = torch_lock(torch, python, cpu)
                torch_repo(
                    name = torch_repo_name("torch", torch, python, cpu),
                    lock = lock,
                    python_version = python,
                    runtime = torch_repo_name("torch_runtime", torch, python, cpu),
                )
                wheels_repo(
                    name = torch_repo_name("torch_runtime", torch, python, cpu),
                    exclude = TORCH_UNUSED_PACKAGES + ["torch"],
                    gigabytes = 7,
                    lock = lock,
                    python_version = python,
                )
    for python in PYTHON_VERSIONS:
        local_torch_repo(name = "awq_torch_local_" + python_tag(python), python_version = python)
    hub_repo(name = "awq_torch", bzl = Label("//toolchains/torch:targets.bzl"), macro = "torch_targets")

def awq_dependencies():
    """Declares the repositories."""
    environment_repo(name = "awq_environment")
    _cuda_repositories()
    _torch_repositories()

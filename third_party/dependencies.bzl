"""The repositories this project makes: CUDA toolkits, PyTorch, test packages, tools. Used by both dependency modes.

Every one is fetched only when a target that needs it is built.
"""

load("//third_party/buildifier:buildifier.bzl", "buildifier_repo")
load("//third_party/cross:cross_gcc.bzl", "cross_gcc_repo")
load("//third_party/cuda:cuda_toolkit.bzl", "redist_toolkit_repo", "wheels_toolkit_repo")
load("//third_party/cuda:local_toolkit.bzl", "local_toolkit_repo")
load("//third_party/environment:doctor_environment.bzl", "doctor_environment_repo")
load("//third_party/environment:environment.bzl", "environment_repo")
load("//third_party/host_compiler:host_compiler.bzl", "host_compiler_repo")
load("//third_party/torch:local_torch.bzl", "local_torch_repo")
load("//third_party/torch:targets.bzl", "torch_repo_name")
load("//third_party/torch:torch.bzl", "torch_repo")
load("//third_party/wheels:wheels.bzl", "wheels_repo")
load(":by_python.bzl", "python_tag")
load(":hub.bzl", "hub_repo")
load(
    ":versions.bzl",
    "BUILDIFIER",
    "CUDA_BINARY_TOOLS",
    "CUDA_TOOLKITS",
    "DEFAULT_PYTHON",
    "EXTRA_PACKAGES",
    "LINT_PACKAGES",
    "LOCK_PACKAGES",
    "PROCESSORS",
    "PYTHON_PACKAGES",
    "PYTHON_VERSIONS",
    "TORCH_RELEASES",
    "TORCH_UNUSED_PACKAGES",
    "python_lock",
    "torch_lock",
)

def _cuda_repositories():
    for version, toolkit in CUDA_TOOLKITS.items():
        for cpu in PROCESSORS:
            name = "awq_cuda_{}_{}".format(version.replace(".", "_"), cpu)
            if hasattr(toolkit, "lock"):
                wheels_toolkit_repo(name = name, cpu = cpu, lock = toolkit.lock, version = version)
            else:
                redist_toolkit_repo(
                    name = name,
                    cpu = cpu,
                    manifest = toolkit.manifest,
                    sha256 = toolkit.sha256,
                    version = version,
                )
    local_toolkit_repo(name = "awq_cuda_local")
    hub_repo(name = "awq_cuda", bzl = Label("//third_party/cuda:targets.bzl"), macro = "cuda_targets")

def _torch_repositories():
    for torch, release in TORCH_RELEASES.items():
        for python in release.pythons:
            for cpu in PROCESSORS:
                lock = torch_lock(torch, python)
                torch_repo(
                    name = torch_repo_name("torch", torch, python, cpu),
                    cpu = cpu,
                    lock = lock,
                    python_version = python,
                )
                wheels_repo(
                    name = torch_repo_name("torch_runtime", torch, python, cpu),
                    cpu = cpu,
                    exclude = TORCH_UNUSED_PACKAGES + ["torch"],
                    lock = lock,
                    python_version = python,
                )
    for python in PYTHON_VERSIONS:
        local_torch_repo(name = "awq_torch_local_" + python_tag(python), python_version = python)
    hub_repo(name = "awq_torch", bzl = Label("//third_party/torch:targets.bzl"), macro = "torch_targets")

def _tool_repositories():
    for version in PYTHON_VERSIONS:
        for name, packages in PYTHON_PACKAGES.items():
            wheels_repo(
                name = "awq_{}_{}".format(name, python_tag(version)),
                lock = python_lock(version),
                packages = packages + EXTRA_PACKAGES.get(version, []),
                python_version = version,
            )
    hub_repo(name = "awq_packages", bzl = Label("//third_party/wheels:targets.bzl"), macro = "package_targets")
    for name, packages in {
        "awq_cuda_binary_tools": CUDA_BINARY_TOOLS,
        "awq_lint_tools": LINT_PACKAGES,
        "awq_uv": LOCK_PACKAGES,
    }.items():
        wheels_repo(
            name = name,
            lock = python_lock(DEFAULT_PYTHON),
            packages = packages,
        )
    buildifier_repo(
        name = "awq_buildifier",
        version = BUILDIFIER.version,
        sha256 = BUILDIFIER.sha256,
    )

def _environment_repositories():
    environment_repo(name = "awq_environment")
    host_compiler_repo(name = "awq_host_compiler")

    # Offline, WORKSPACE has declared the machine's interpreters; a module extension sees no such thing.
    python = native.existing_rule("python_" + DEFAULT_PYTHON.replace(".", "_"))
    doctor_environment_repo(
        name = "awq_doctor_environment",
        python_is_installed = bool(python) and python["kind"] == "local_python_repo",
    )

def awq_dependencies():
    """Declares the repositories."""
    _environment_repositories()
    cross_gcc_repo(name = "awq_cross_aarch64", cpu = "aarch64")
    _cuda_repositories()
    _torch_repositories()
    _tool_repositories()

"""The repositories of this project's own tests and tools. Used by both dependency modes; not for workspaces that include it.

Every one is fetched only when a target that needs it is built.
"""

load("//third_party/buildifier:buildifier.bzl", "buildifier_repo")
load("//third_party/cross:cross_gcc.bzl", "cross_gcc_repo")
load("//third_party/environment:doctor_environment.bzl", "doctor_environment_repo")
load("//third_party/host_compiler:host_compiler.bzl", "host_compiler_repo")
load("//third_party/wheels:wheels.bzl", "wheels_repo")
load(":by_python.bzl", "python_tag")
load(":hub.bzl", "hub_repo")
load(
    ":versions.bzl",
    "ALONE_LOCK",
    "ALONE_PACKAGES",
    "BUILDIFIER",
    "CHECKPOINT_PACKAGES",
    "CUDA_BINARY_TOOLS",
    "DEFAULT_PYTHON",
    "EXTRA_PACKAGES",
    "LINT_PACKAGES",
    "LOCK_PACKAGES",
    "PYTHON_PACKAGES",
    "PYTHON_VERSIONS",
    "checkpoint_lock",
    "python_lock",
)

def awq_dev_dependencies():
    """Declares the repositories."""
    host_compiler_repo(name = "awq_host_compiler")
    doctor_environment_repo(name = "awq_doctor_environment")
    cross_gcc_repo(name = "awq_cross_aarch64", cpu = "aarch64")
    for version in PYTHON_VERSIONS:
        for name, packages in PYTHON_PACKAGES.items():
            wheels_repo(
                name = "awq_{}_{}".format(name, python_tag(version)),
                lock = python_lock(version),
                packages = packages + EXTRA_PACKAGES.get(version, []),
                python_version = version,
            )
        for name, packages in CHECKPOINT_PACKAGES.items():
            wheels_repo(
                name = "awq_{}_{}".format(name, python_tag(version)),
                lock = checkpoint_lock(version),
                packages = packages,
                python_version = version,
            )
    for name, packages in ALONE_PACKAGES.items():
        wheels_repo(
            name = "awq_" + name,
            lock = ALONE_LOCK,
            packages = packages,
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

"""The repositories of this project's own tests and tools. Both dependency modes use them.

Workspaces that include this one do not get them. A repository is fetched only when a target that needs it is built.
"""

load("//bazel/lib:hub.bzl", "hub_repo")
load(
    "//third_party:versions.bzl",
    "ALONE_PACKAGES",
    "BUILDIFIER",
    "CHECKPOINT_PACKAGES",
    "CUDA_BINARY_TOOLS",
    "DEFAULT_PYTHON",
    "EXTRA_PACKAGES",
    "GCC_VERSION",
    "LOCK_PACKAGES",
    "PROCESSORS",
    "PYTHON_PACKAGES",
    "PYTHON_VERSIONS",
    "TEST_ROOTS",
    "gcc_lock",
    "wheels_lock",
)
load("//third_party/buildifier:buildifier.bzl", "buildifier_repo")
load("//third_party/deb:deb.bzl", "deb_repo")
load("//third_party/pip:wheels.bzl", "wheels_repo")
load("//toolchains/cc/gcc:gcc.bzl", "gcc_repo")
load("//toolchains/cc/host:host_compiler.bzl", "host_compiler_repo")
load("//toolchains/machine:doctor_environment.bzl", "doctor_environment_repo")
load("//toolchains/python:by_python.bzl", "python_tag")

def awq_dev_dependencies():
    """Declares the repositories."""
    host_compiler_repo(name = "awq_host_compiler")
    for name, lock in TEST_ROOTS.items():
        deb_repo(name = name, lock = lock)
    doctor_environment_repo(name = "awq_doctor_environment")
    for cpu in PROCESSORS:
        gcc_repo(
            name = "awq_gcc_" + cpu,
            cpu = cpu,
            exec_cpu = "x86_64",
            lock = gcc_lock(cpu),
            version = GCC_VERSION,
        )
    for version in PYTHON_VERSIONS:
        for name, packages in PYTHON_PACKAGES.items():
            wheels_repo(
                name = "awq_{}_{}".format(name, python_tag(version)),
                lock = wheels_lock("tools", version),
                packages = packages + EXTRA_PACKAGES.get(version, []),
                python_version = version,
            )
        for name, packages in CHECKPOINT_PACKAGES.items():
            wheels_repo(
                name = "awq_{}_{}".format(name, python_tag(version)),
                lock = wheels_lock("checkpoint", version),
                packages = packages,
                python_version = version,
            )
    for name, packages in ALONE_PACKAGES.items():
        wheels_repo(
            name = "awq_" + name,
            lock = wheels_lock("alone"),
            packages = packages,
            python_version = DEFAULT_PYTHON,
        )
    hub_repo(name = "awq_packages", bzl = Label("//toolchains/python:packages.bzl"), macro = "package_targets")
    for name, packages in {
        "awq_cuda_binary_tools": CUDA_BINARY_TOOLS,
        "awq_uv": LOCK_PACKAGES,
    }.items():
        wheels_repo(
            name = name,
            lock = wheels_lock("tools"),
            packages = packages,
            python_version = DEFAULT_PYTHON,
        )
    buildifier_repo(
        name = "awq_buildifier",
        version = BUILDIFIER.version,
        sha256 = BUILDIFIER.sha256,
    )

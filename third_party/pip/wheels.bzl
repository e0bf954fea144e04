"""Python wheels by pip and a lock file, in every dependency mode alike.

pip does the download because it honours the user's own configuration (index, mirrors, proxies, certificates), which
Bazel's downloader and rules_python's newer pip extension do not; each file is verified against the lock's sha256, so
which pip and which mirror delivered it makes no difference to the bits (and a changed PATH is no reason to fetch anew).
The wheels may be for another Python version or platform than the one that runs pip.
"""

load("//bazel/lib:interpreters.bzl", "PIP_PYTHONS", "find_interpreter")
load("//bazel/lib:problems.bzl", "download_failed", "format_problem", "no_pip")

# pip matches platform tags literally, so every tag has to be listed; up to glibc 2.34 (RHEL 9, Debian 12, Ubuntu 22.04).
_PLATFORM_TAGS = {
    cpu: ["manylinux_2_{}_{}".format(minor, cpu) for minor in range(34, 16, -1)] +
         ["manylinux2014_" + cpu, "linux_" + cpu] +
         (["manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64"] if cpu == "x86_64" else [])
    for cpu in ["x86_64", "aarch64"]
}

def locked_requirements(text):
    """Splits a lock file of pip's format into requirements.

    Args:
      text: the file's content: `name==version \\` lines followed by `--hash=sha256:...` lines.

    Returns:
      A dict from normalized distribution name to its requirement with all hashes, on one line.
    """
    requirements = {}
    logical = text.replace("\\\n", " ")
    for line in logical.split("\n"):
        line = line.strip()
        if line and not line.startswith("#"):
            name = line.split("==")[0].split("[")[0].strip().lower().replace("_", "-").replace(".", "-")
            requirements[name] = line
    return requirements

def download_wheels(rctx, lock, packages, python_version, cpu, output):
    """Downloads wheels named by a lock file and unpacks them.

    Args:
      rctx: the repository context.
      lock: label of the lock file.
      packages: names of the distributions to fetch.
      python_version: such as "3.11".
      cpu: "x86_64" or "aarch64".
      output: folder below the repository that receives the wheels' contents, all in one tree.
    """
    lock_path = rctx.path(lock)
    requirements = locked_requirements(rctx.read(lock_path))
    missing = [p for p in packages if p not in requirements]
    if missing:
        fail("{} does not lock {}".format(lock, ", ".join(missing)))

    pip, reasons = find_interpreter(rctx, PIP_PYTHONS, ["pip"])
    if not pip:
        fail(format_problem(no_pip(", ".join(packages), reasons)))

    rctx.file("requirements.txt", "\n".join([requirements[p] for p in packages]) + "\n", executable = False)
    what = packages[0] if len(packages) == 1 else "{} and {} more".format(packages[0], len(packages) - 1)
    rctx.report_progress("pip download of {}".format(what))
    platforms = []
    for tag in _PLATFORM_TAGS[cpu]:
        platforms += ["--platform", tag]
    tag = "cp" + python_version.replace(".", "")
    result = rctx.execute(
        [
            pip.path,
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--progress-bar=off",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--python-version",
            python_version,
            "--implementation",
            "cp",
            "--abi",
            tag,
            "--abi",
            "abi3",
            "--abi",
            "none",
        ] + platforms + ["--dest", "wheels", "--requirement", "requirements.txt"],
        timeout = 3600,
        quiet = False,  # pip says what it fetches and how large it is
    )
    if result.return_code != 0:
        what = "{} for CPython {} on linux-{}".format(", ".join(packages), python_version, cpu)
        fail(format_problem(download_failed(what, str(lock), result.stdout + result.stderr)))
    for wheel in rctx.path("wheels").readdir():
        rctx.report_progress("unpacking " + wheel.basename)

        # Bazel tells an archive's kind by its name.
        rctx.symlink(wheel, "zip/wheel.zip")
        rctx.extract("zip/wheel.zip", output = output)
        rctx.delete("zip")
    rctx.delete("wheels")
    rctx.delete("requirements.txt")

_PY_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "site_packages",
    srcs = glob(["site-packages/**/*.py"], exclude = ["**/* *", "**/tests/**"]),
    data = glob(
        ["site-packages/**"],
        exclude = [
            "**/* *",
            "**/*.py",
            "**/*.a",
            "**/*.cuh",
            "**/*.h",
            "**/*.hpp",
            "**/tests/**",
        ],
    ),
    imports = ["site-packages"],
)

exports_files(glob(["site-packages/**"], exclude = ["**/* *"]))
"""

def _wheels_repo_impl(rctx):
    packages = rctx.attr.packages
    if not packages:
        locked = locked_requirements(rctx.read(rctx.path(rctx.attr.lock)))
        packages = [p for p in locked if p not in rctx.attr.exclude]
    download_wheels(
        rctx,
        rctx.attr.lock,
        packages,
        rctx.attr.python_version,
        rctx.attr.cpu,
        "site-packages",
    )
    rctx.file("BUILD.bazel", _PY_BUILD + rctx.attr.additional_build_content, executable = False)

wheels_repo = repository_rule(
    implementation = _wheels_repo_impl,
    doc = "Unpacked wheels as one `py_library` named `site_packages`, with their files exported.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "Requirements with versions and hashes, as uv or pip-compile writes them."),
        "packages": attr.string_list(doc = "Distributions to take from the lock; what they require is not added. Empty: all."),
        "exclude": attr.string_list(doc = "Distributions not to take, if all others are."),
        "python_version": attr.string(default = "3.11", doc = "The CPython the wheels are for."),
        "cpu": attr.string(default = "x86_64", values = ["x86_64", "aarch64"], doc = "The processor the wheels are for."),
        "additional_build_content": attr.string(doc = "Appended to the BUILD file."),
    },
)

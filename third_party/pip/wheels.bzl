"""Locked Python wheels, the same in every dependency mode.

A lock names one file per package, with its SHA-256. Bazel's repository cache is tried first. pip downloads the files
that the cache lacks, and the cache then keeps them. No file is downloaded twice.

pip does the download because it honours the user's configuration: index, mirrors, proxies, certificates. Bazel's
downloader does not. The bits are the same with any pip and any mirror. The wheels may be for another Python or
processor than pip's.
"""

load("//bazel/lib:interpreters.bzl", "PYTHON_FLAGS", "find_pip")
load("//bazel/lib:machine.bzl", "machine_problem")
load("//bazel/lib:problems.bzl", "download_failed", "format_problem", "no_pip")

def _normalized(name):
    return name.lower().replace("_", "-").replace(".", "-")

def locked_wheels(text):
    """Reads a lock file.

    Args:
      text: the file's content, in the format of sha256sum: lines of checksum and file name.

    Returns:
      A dict from normalized distribution name to a struct. The struct has `file`, `sha256`, `requirement` (as pip
      writes it) and the lists of tags `abis` and `platforms`.
    """
    wheels = {}
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        sha256, _, file = line.partition("  ")
        parts = file.removesuffix(".whl").split("-")  # name-version[-build]-python-abi-platform
        name = _normalized(parts[0])
        wheels[name] = struct(
            abis = parts[-2].split("."),
            file = file,
            platforms = parts[-1].split("."),
            requirement = "{}=={} --hash=sha256:{}".format(name, parts[1], sha256),
            sha256 = sha256,
        )
    return wheels

def _flags(name, values):
    """Repeats a flag of pip for each distinct value."""
    flags = []
    for value in {value: None for value in values}:
        flags += [name, value]
    return flags

def _unpack(rctx, wheel, urls, output):
    """Unpacks a wheel from the repository cache, or from `urls`. Returns whether this succeeded."""
    return rctx.download_and_extract(
        url = urls,
        output = output,
        sha256 = wheel.sha256,
        type = "zip",
        allow_fail = True,
    ).success

def download_wheels(rctx, lock, packages, python_version, output, gigabytes = 1):
    """Downloads wheels named by a lock file and unpacks them.

    Args:
      rctx: the repository context.
      lock: label of the lock file.
      packages: names of the distributions to fetch.
      python_version: the Python that they are for, such as "3.11".
      output: folder below the repository. It receives the content of all wheels as one tree.
      gigabytes: the space that they need, as archives and unpacked.
    """
    locked = locked_wheels(rctx.read(rctx.path(lock)))
    unknown = [name for name in packages if name not in locked]
    if unknown:
        fail("{} does not lock {}".format(lock, ", ".join(unknown)))

    missing = []
    for name in packages:
        rctx.report_progress("unpacking " + locked[name].file)
        if not _unpack(rctx, locked[name], [], output):
            missing.append(locked[name])
    if not missing:
        return

    found = machine_problem(rctx, str(rctx.path(".")), gigabytes)
    if found:
        fail(format_problem(found))
    python, reasons = find_pip(rctx)
    if not python:
        fail(format_problem(no_pip(", ".join(packages), reasons)))
    rctx.file("requirements.txt", "\n".join([wheel.requirement for wheel in missing]) + "\n", executable = False)
    rctx.report_progress("pip download of {}{}".format(
        missing[0].file,
        " and {} more".format(len(missing) - 1) if len(missing) > 1 else "",
    ))
    result = rctx.execute(
        [python] + PYTHON_FLAGS + [
            rctx.path(Label("//third_party/pip:download.py")),
            "--progress-bar=off",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--python-version",
            python_version,
            "--implementation",
            "cp",
            "--dest",
            "wheels",
            "--requirement",
            "requirements.txt",
        ] + _flags("--abi", [abi for wheel in missing for abi in wheel.abis]) +
        _flags("--platform", [platform for wheel in missing for platform in wheel.platforms if platform != "any"] or ["any"]),
        timeout = 3600,
        quiet = False,  # pip prints the name and size of each file
    )
    what = ", ".join([wheel.file for wheel in missing])
    if result.return_code != 0:
        fail(format_problem(download_failed(what, str(lock), result.stdout + result.stderr)))
    for wheel in missing:
        rctx.report_progress("unpacking " + wheel.file)
        file = rctx.path("wheels/" + wheel.file)
        if not file.exists or not _unpack(rctx, wheel, ["file://{}".format(file)], output):
            found = ", ".join([other.basename for other in rctx.path("wheels").readdir()])
            fail(format_problem(download_failed(wheel.file, str(lock), "pip downloaded {}".format(found))))
    rctx.delete("wheels")
    rctx.delete("requirements.txt")

_PY_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "site_packages",
    srcs = glob(["site-packages/**/*.py"], allow_empty = True, exclude = ["**/* *", "**/tests/**"]),  # some have programs alone
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
        locked = locked_wheels(rctx.read(rctx.path(rctx.attr.lock)))
        packages = [name for name in locked if name not in rctx.attr.exclude]
    download_wheels(rctx, rctx.attr.lock, packages, rctx.attr.python_version, "site-packages", rctx.attr.gigabytes)
    rctx.file("BUILD.bazel", _PY_BUILD + rctx.attr.additional_build_content, executable = False)

wheels_repo = repository_rule(
    implementation = _wheels_repo_impl,
    doc = "Unpacked wheels as one `py_library` named `site_packages`. All files are exported.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The wheels: lines of SHA-256 and file name."),
        "packages": attr.string_list(doc = "Distributions to take, without their requirements. Empty: all."),
        "gigabytes": attr.int(default = 1, doc = "The space that they need, as archives and unpacked."),
        "exclude": attr.string_list(doc = "Distributions to leave out if `packages` is empty."),
        "python_version": attr.string(mandatory = True, doc = "The CPython the wheels are for, such as 3.11."),
        "additional_build_content": attr.string(doc = "Text that is appended to the BUILD file."),
    },
)

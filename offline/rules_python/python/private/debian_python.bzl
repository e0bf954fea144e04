"""A CPython from Debian's packages, for machines that lack it or its headers. Nothing is installed."""

load("//third_party/deb:deb.bzl", "unpack_debs")

_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")
load("@rules_cc//cc:defs.bzl", "cc_library")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "py3_runtime",
    files = glob(
        ["debian/usr/lib/python3*/**", "debian/**/*.so*"],
        exclude = ["**/* *", "**/*.a", "debian/usr/lib/python3*/config-*/**"],
    ),
    interpreter = "debian/usr/bin/python{version}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "python_runtimes",
    py2_runtime = None,
    py3_runtime = ":py3_runtime",
)

cc_library(
    name = "python_headers",
    hdrs = glob(["debian/usr/include/**/*.h"]),
    includes = ["debian/usr/include", "debian/usr/include/python{version}"],
)
"""

_TRIPLES = ["x86_64-linux-gnu", "aarch64-linux-gnu"]

def _debian_python_repo_impl(rctx):
    version = rctx.attr.version
    unpack_debs(rctx, rctx.attr.lock)

    # Debian's pyconfig.h includes one by processor. They differ in nothing that extension modules use.
    here, other = ["debian/usr/include/{}/python{}".format(triple, version) for triple in _TRIPLES]
    rctx.symlink(here, other)

    # The interpreter brings its C library along: the machine's may be older.
    folders = ["debian/{}/{}".format(folder, _TRIPLES[0]) for folder in ["lib", "usr/lib"]]
    folders = [rctx.path(folder) for folder in folders if rctx.path(folder).exists]
    libraries = ":".join([str(folder) for folder in folders])
    [loader] = [f for folder in folders for f in folder.readdir() if f.basename == "ld-linux-x86-64.so.2"]
    python = rctx.path("debian/usr/bin/python" + version)
    patchelf = [loader, "--library-path", libraries, rctx.path("debian/usr/bin/patchelf")]

    # One by one and in this order: of both at once patchelf 0.18 makes a program that crashes.
    for command in [
        patchelf + ["--force-rpath", "--set-rpath", libraries, python],
        patchelf + ["--set-interpreter", loader, python],
        [python, "-I", "-c", "import ctypes, hashlib, lzma, sqlite3, ssl, zlib"],
    ]:
        result = rctx.execute(command)
        if result.return_code != 0:
            fail("Debian's Python {} does not run here: {} ended with {}: {}".format(
                version,
                " ".join([str(part) for part in command]),
                result.return_code,
                result.stderr,
            ))
    rctx.file("BUILD.bazel", _BUILD.format(version = version), executable = False)

debian_python_repo = repository_rule(
    implementation = _debian_python_repo_impl,
    doc = "Interpreter and headers from Debian's packages.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The packages."),
        "version": attr.string(mandatory = True, doc = "Major and minor version."),
    },
)

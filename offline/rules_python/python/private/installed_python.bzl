"""A CPython that is installed on the machine, under the target names that rules_python's own interpreters have."""

load(":interpreters.bzl", "find_interpreter")
load(":problems.bzl", "format_problem", "no_python")

_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")
load("@rules_cc//cc:defs.bzl", "cc_library")
load("{py_cc_toolchain}", "py_cc_toolchain")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "py3_runtime",
    interpreter_path = "{path}",
    python_version = "PY3",
    stub_shebang = "#!{path}",  # no other Python takes part in starting a program
)

py_runtime_pair(
    name = "python_runtimes",
    py2_runtime = None,
    py3_runtime = ":py3_runtime",
)

cc_library(
    name = "python_headers",
    hdrs = glob(
        ["include/**/*.h", "multiarch/**/*.h"],
        allow_empty = True,
    ),
    includes = ["include", "multiarch"],
)

py_cc_toolchain(
    name = "py_cc_toolchain",
    headers = ":python_headers",
    python_version = "{version}",
)
"""

# Whatever uses a Python that is not there fails when it is analysed: fetching the repository must not.
_MISSING = """\
load("{missing}", "missing")

[
    missing(
        name = name,
        message = {message},
        visibility = ["//visibility:public"],
    )
    for name in ["py3_runtime", "py_cc_toolchain", "python_headers", "python_runtimes"]
]
"""

def _missing_impl(ctx):
    fail(ctx.attr.message)

missing = rule(
    implementation = _missing_impl,
    doc = "A target that cannot be used.",
    attrs = {"message": attr.string(mandatory = True, doc = "What is missing and how to get it.")},
)

def _link_multiarch_headers(rctx, include):
    """Links what Debian keeps apart by processor, where a compiler with its own system headers does not look.

    Debian's pyconfig.h only includes <TRIPLE/pythonX.Y/pyconfig.h>. For another processor the one of this machine stands in: both
    are 64-bit Linux, and differ in nothing that extension modules use.
    """
    triples = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
    folders = {triple: include.dirname.get_child(triple).get_child(include.basename) for triple in triples}
    here = [folder for folder in folders.values() if folder.exists]
    for triple, folder in folders.items():
        if here:
            rctx.symlink(folder if folder.exists else here[0], "multiarch/{}/{}".format(triple, include.basename))

def _installed_python_repo_impl(rctx):
    version = rctx.attr.version
    interpreter, reasons = find_interpreter(rctx, [version], ["headers"])
    if interpreter:
        rctx.symlink(interpreter.include, "include")
        _link_multiarch_headers(rctx, rctx.path(interpreter.include))
        text = _BUILD.format(
            path = interpreter.path,
            py_cc_toolchain = Label("//python/cc:py_cc_toolchain.bzl"),
            version = version,
        )
    else:
        text = _MISSING.format(
            message = repr(format_problem(no_python(version, reasons))),
            missing = Label(":installed_python.bzl"),
        )
    rctx.file("BUILD.bazel", text, executable = False)

installed_python_repo = repository_rule(
    implementation = _installed_python_repo_impl,
    doc = "Finds CPython of one version on the machine: interpreter and headers.",
    attrs = {"version": attr.string(mandatory = True, doc = "Major and minor version, such as 3.11.")},
    environ = ["PATH", "HOME", "PYENV_ROOT"],
    configure = True,
)

_TOOLCHAINS = """\
toolchain(
    name = "python",
    toolchain = "{python}//:python_runtimes",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)

toolchain(
    name = "headers",
    toolchain = "{python}//:py_cc_toolchain",
    toolchain_type = "{cc}",
)
"""

def _toolchains_repo_impl(rctx):
    rctx.file("BUILD.bazel", _TOOLCHAINS.format(
        cc = Label("//python/cc:toolchain_type"),
        python = "@" + rctx.attr.python,
    ), executable = False)

toolchains_repo = repository_rule(
    implementation = _toolchains_repo_impl,
    doc = "The toolchains of a Python, for registration.",
    attrs = {"python": attr.string(mandatory = True, doc = "Name of the `installed_python_repo` declared beside this one.")},
)

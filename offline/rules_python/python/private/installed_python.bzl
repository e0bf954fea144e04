"""A CPython under the target names that rules_python's own interpreters have: an installed one, or else Debian's.

Each is taken where the machine has none: the interpreter, and the C headers.
"""

load("//bazel/lib:interpreters.bzl", "find_interpreter", "python_cures")
load("//bazel/lib:problems.bzl", "format_problem", "no_python")
load("//third_party:versions.bzl", "DEBIAN_PYTHONS", "debian_python_lock")
load(":debian_python.bzl", "debian_python_repo")

_HEADER = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")
load("@rules_cc//cc:defs.bzl", "cc_library")
load("{py_cc_toolchain}", "py_cc_toolchain")

package(default_visibility = ["//visibility:public"])

py_cc_toolchain(
    name = "py_cc_toolchain",
    headers = ":python_headers",
    python_version = "{version}",
)
"""

_INSTALLED_RUNTIME = """
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
"""

_INSTALLED_HEADERS = """
cc_library(
    name = "python_headers",
    hdrs = glob(
        ["include/**/*.h", "multiarch/**/*.h"],
        allow_empty = True,
    ),
    includes = ["include", "multiarch"],
)
"""

_ALIAS = """
alias(
    name = "{name}",
    actual = "@{debian}//:{name}",
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
    for name in ["py_cc_toolchain", "python_headers", "python_runtimes"]
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
    debian = rctx.attr.debian
    interpreter, reasons = find_interpreter(rctx, version, [] if debian else ["headers"])
    if not interpreter and not debian:
        message = format_problem(no_python(version or "3", reasons, python_cures(rctx, version)))
        rctx.file("BUILD.bazel", _MISSING.format(
            message = repr(message),
            missing = Label(":installed_python.bzl"),
        ), executable = False)
        return
    text = _HEADER.format(
        py_cc_toolchain = Label("//python/cc:py_cc_toolchain.bzl"),
        version = interpreter.version if interpreter else version,
    )
    if interpreter:
        text += _INSTALLED_RUNTIME.format(path = interpreter.path)
    else:
        text += _ALIAS.format(debian = debian, name = "python_runtimes")
    if interpreter and interpreter.has_headers:
        rctx.symlink(interpreter.include, "include")
        _link_multiarch_headers(rctx, rctx.path(interpreter.include))
        text += _INSTALLED_HEADERS
    else:
        text += _ALIAS.format(debian = debian, name = "python_headers")
    rctx.file("BUILD.bazel", text, executable = False)

_installed_python_repo = repository_rule(
    implementation = _installed_python_repo_impl,
    doc = "Finds CPython of one version on the machine: interpreter and headers.",
    attrs = {
        "debian": attr.string(doc = "Name of the repository beside this one that has that Python from Debian's packages."),
        "version": attr.string(doc = "Major and minor version, such as 3.11. Empty: the machine's `python3`, or any other."),
    },
    environ = ["PATH", "HOME", "PYENV_ROOT"],
    configure = True,
    local = True,
)

def python_repositories(name, version):
    """Declares the repositories of a Python.

    Args:
      name: of the one that has its targets.
      version: such as "3.11", or "" for whichever there is.
    """
    debian = ""
    if version in DEBIAN_PYTHONS:
        debian = name + "_debian"
        debian_python_repo(
            name = debian,
            lock = debian_python_lock(version),
            version = version,
        )
    _installed_python_repo(name = name, debian = debian, version = version)

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
    attrs = {"python": attr.string(mandatory = True, doc = "Name of the repository declared beside this one.")},
)

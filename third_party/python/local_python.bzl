"""A CPython that is installed on the machine, under the target names that rules_python's own interpreters have."""

load("//config:checks.bzl", "no_python")
load("//config:problems.bzl", "format_problem")
load("//third_party:unavailable.bzl", "unavailable_targets")
load(":interpreters.bzl", "find_interpreter")

_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_python//python:py_runtime.bzl", "py_runtime")
load("@rules_python//python:py_runtime_pair.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "py3_runtime",
    interpreter_path = "{path}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "python_runtimes",
    py2_runtime = None,
    py3_runtime = ":py3_runtime",
)

cc_library(
    name = "python_headers",
    hdrs = glob(["include/**/*.h"]),
    includes = ["include"],
)
"""

def _local_python_repo_impl(rctx):
    version = rctx.attr.version
    interpreter, reasons = find_interpreter(rctx, [version], ["headers"])
    if not interpreter:
        message = format_problem(no_python(version, reasons))
        rctx.file("BUILD.bazel", unavailable_targets(["python_headers", "python_runtimes", "py3_runtime"], message), executable = False)
        return
    rctx.symlink(interpreter.include, "include")
    rctx.file("BUILD.bazel", _BUILD.format(path = interpreter.path), executable = False)

local_python_repo = repository_rule(
    implementation = _local_python_repo_impl,
    doc = "Finds CPython of one version on the machine: interpreter and headers.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "Major and minor version, such as 3.11."),
    },
    environ = ["PATH", "HOME", "PYENV_ROOT"],
    configure = True,
)

"""A CPython that is installed on the machine, under the target names that rules_python's own interpreters have."""

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
        message = ("\n\nPython {v} with its C headers was not found on this machine.\n" +
                   "Looked for python{v} and python3 on PATH, in pyenv's and uv's folders, /usr/local/bin and /usr/bin:\n{reasons}\n" +
                   "Cure: install it (Debian, Ubuntu: apt-get install python{v}-dev; pyenv install {v}; uv python install {v}),\n" +
                   "or choose another version with --//config:python=3.X (3.10 to 3.13).\n").format(
            v = version,
            reasons = "\n".join(["  " + r for r in reasons]) or "  nothing there",
        )
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

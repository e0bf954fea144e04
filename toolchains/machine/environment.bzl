"""The values that the build reads from the user's environment and machine, as Starlark constants."""

load("//bazel/lib:compilers.bzl", "ask_compiler", "has_gpu", "host_compiler_name")
load("//bazel/lib:interpreters.bzl", "default_python")
load("//third_party:versions.bzl", "DEBIAN_PYTHONS", "DEFAULT_PYTHON", "PYTHON_VERSIONS")

_VARIABLES = ["TORCH_CUDA_ARCH_LIST"]

def _environment_repo_impl(rctx):
    lines = ["\"\"\"Taken from the environment and the machine.\"\"\"", ""]
    for name in _VARIABLES:
        lines.append("{} = {}".format(name, repr(rctx.os.environ.get(name, ""))))
    lines.append("HOST_COMPILER = {}".format(repr(ask_compiler(rctx, host_compiler_name(rctx)))))
    lines.append("HAS_GPU = {}".format(has_gpu(rctx)))

    # The offline rc file sets AWQ_PYTHON. Python then comes from the machine.
    installed = rctx.os.environ.get("AWQ_PYTHON") == "installed"
    python = default_python(rctx, PYTHON_VERSIONS, DEBIAN_PYTHONS, DEFAULT_PYTHON) if installed else DEFAULT_PYTHON
    lines.append("DEFAULT_PYTHON = {}".format(repr(python)))
    lines.append("OFFLINE = {}".format(installed))
    rctx.file("environment.bzl", "\n".join(lines) + "\n", executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

environment_repo = repository_rule(
    implementation = _environment_repo_impl,
    doc = "Reads only the environment variables that the build uses, the C++ compiler, and whether there is a GPU.",
    environ = _VARIABLES + ["AWQ_PYTHON", "CC", "HOME", "PATH", "PYENV_ROOT"],
    configure = True,
    local = True,
)

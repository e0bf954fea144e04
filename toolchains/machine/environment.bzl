"""What the build takes from the user's environment and machine, as Starlark constants."""

load("//bazel/lib:compilers.bzl", "ask_compiler", "has_gpu", "host_compiler_name")

_VARIABLES = ["TORCH_CUDA_ARCH_LIST"]

def _environment_repo_impl(rctx):
    lines = ["\"\"\"Taken from the environment and the machine.\"\"\"", ""]
    for name in _VARIABLES:
        lines.append("{} = {}".format(name, repr(rctx.os.environ.get(name, ""))))
    lines.append("HOST_COMPILER = {}".format(repr(ask_compiler(rctx, host_compiler_name(rctx)))))

    lines.append("HAS_GPU = {}".format(has_gpu(rctx)))
    rctx.file("environment.bzl", "\n".join(lines) + "\n", executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

environment_repo = repository_rule(
    implementation = _environment_repo_impl,
    doc = "Reads the environment variables that the build honours, only these, the C++ compiler, and whether there is a GPU.",
    environ = _VARIABLES + ["CC", "PATH"],
    configure = True,
    local = True,
)

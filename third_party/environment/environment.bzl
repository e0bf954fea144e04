"""What the build takes from the user's environment and machine, as Starlark constants."""

_VARIABLES = ["TORCH_CUDA_ARCH_LIST"]

def _environment_repo_impl(rctx):
    lines = ["\"\"\"Taken from the environment and the machine.\"\"\"", ""]
    for name in _VARIABLES:
        lines.append("{} = {}".format(name, repr(rctx.os.environ.get(name, ""))))

    # The driver's device file: a container that may use a GPU has it.
    has_gpu = rctx.path("/dev/nvidiactl").exists
    lines.append("HAS_GPU = {}".format(has_gpu))
    rctx.file("environment.bzl", "\n".join(lines) + "\n", executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

environment_repo = repository_rule(
    implementation = _environment_repo_impl,
    doc = "Reads the environment variables that the build honours, only these, and whether there is a GPU for tests.",
    environ = _VARIABLES,
    configure = True,
    local = True,
)

"""What the build takes from the user's environment, as Starlark constants."""

_VARIABLES = ["TORCH_CUDA_ARCH_LIST"]

def _environment_repo_impl(rctx):
    lines = ["\"\"\"Taken from the environment.\"\"\"", ""]
    for name in _VARIABLES:
        lines.append("{} = {}".format(name, repr(rctx.os.environ.get(name, ""))))
    rctx.file("environment.bzl", "\n".join(lines) + "\n", executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

environment_repo = repository_rule(
    implementation = _environment_repo_impl,
    doc = "Reads the environment variables that the build honours; only these.",
    environ = _VARIABLES,
)

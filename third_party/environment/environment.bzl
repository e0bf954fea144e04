"""What the build takes from the user's environment and machine, as Starlark constants."""

_VARIABLES = ["TORCH_CUDA_ARCH_LIST"]

def ask_compiler(rctx, name):
    """Asks a C++ compiler what it is.

    Args:
      rctx: the repository context.
      name: on PATH, or its absolute path.

    Returns:
      A dict with `kind` ("gcc" or "clang"), `path` and `version`; None if there is none or it does not answer.
    """
    path = rctx.path(name) if name.startswith("/") else rctx.which(name)
    if not path or not path.exists:
        return None
    version = rctx.execute([path, "-dumpfullversion", "-dumpversion"], timeout = 60)
    about = rctx.execute([path, "--version"], timeout = 60)
    if version.return_code != 0 or about.return_code != 0:
        return None
    return {
        "kind": "clang" if "clang" in about.stdout else "gcc",
        "path": str(path),
        "version": version.stdout.strip(),
    }

def host_compiler_name(rctx):
    """The compiler that Bazel's own detection takes: what CC names, else gcc."""
    return rctx.os.environ.get("CC") or "gcc"

def has_gpu(rctx):
    """Whether there is the driver's device file: a container that may use a GPU has it."""
    return rctx.path("/dev/nvidiactl").exists

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

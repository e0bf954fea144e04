"""Searches for the machine's C++ compilers and GPU, for repository rules."""

def ask_compiler(rctx, name):
    """Runs a C++ compiler to find its kind and version.

    Args:
      rctx: the repository context.
      name: its name on PATH, or its absolute path.

    Returns:
      A dict with `kind` ("gcc" or "clang"), `path` and `version`; None if the compiler does not exist or does not run.
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
    """The compiler that Bazel's own detection selects: the one in CC, else gcc."""
    return rctx.os.environ.get("CC") or "gcc"

def has_gpu(rctx):
    """Whether the driver's device file exists. A container that may use a GPU has it."""
    return rctx.path("/dev/nvidiactl").exists

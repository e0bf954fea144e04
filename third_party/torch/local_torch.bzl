"""A PyTorch that is installed on the machine, for --//config:torch=local."""

load("//config:checks.bzl", "no_torch")
load("//config:problems.bzl", "format_problem")
load("//third_party:unavailable.bzl", "unavailable_targets")
load("//third_party/python:interpreters.bzl", "find_interpreter")
load("//third_party/wheels:wheels.bzl", "PIP_PYTHONS")
load(":torch.bzl", "TARGETS", "declare_torch_targets")

# Prints the folder that holds torch/ without importing it, which takes seconds.
_FIND_TORCH = """
import importlib.util
spec = importlib.util.find_spec("torch")
print(spec.submodule_search_locations[0].rpartition("/")[0] if spec else "")
"""

def find_torch(rctx, version):
    """Finds the installed PyTorch: the one that AWQ_TORCH_PATH names, or that a Python of a version can import.

    Args:
      rctx: the repository context.
      version: of Python, such as "3.11".

    Returns:
      `(folder, python, where)`: the folder that holds torch/, the Python version it is for ("" if not known), and where it is
      in words; or None, "", and what was looked at, a line each.
    """
    folder = rctx.os.environ.get("AWQ_TORCH_PATH", "").rstrip("/")
    if folder:
        where = "AWQ_TORCH_PATH=" + folder
        return (folder, "", where) if rctx.path(folder + "/torch/version.py").exists else (None, "", "no torch/version.py in " + where)
    python, reasons = find_interpreter(rctx, [version], [])
    if not python:
        return None, "", "\n".join(reasons)
    folder = rctx.execute([python.path, "-c", _FIND_TORCH], timeout = 60).stdout.strip()
    if not folder:
        return None, "", "{} (Python {}) has no torch".format(python.path, version)
    return folder, version, folder

# What importing torch needs besides; the rest of a site-packages is of no concern.
_LOCAL_RUNTIME = [
    "filelock",
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "numpy",
    "numpy.libs",
    "nvidia",
    "sympy",
    "typing_extensions.py",
]

_LOCAL_RUNTIME_BUILD = """
py_library(
    name = "runtime",
    srcs = glob([p + "/**/*.py" for p in _RUNTIME], exclude = ["**/* *", "**/tests/**"], allow_empty = True) + glob(["*.py"], allow_empty = True),
    data = glob([p + "/**/*.so*" for p in _RUNTIME] + ["numpy.libs/**"], exclude = ["**/* *", "**/tests/**"], allow_empty = True),
    imports = ["."],
)
"""

def _local_torch_repo_impl(rctx):
    folder, version, where = find_torch(rctx, rctx.attr.python_version)
    if not folder:
        rctx.file("BUILD.bazel", unavailable_targets(TARGETS + ["runtime"], format_problem(no_torch(where))), executable = False)
        return
    python, _ = find_interpreter(rctx, PIP_PYTHONS, [])
    for entry in rctx.path(folder).readdir():
        name = entry.basename
        if name in ["torch", "torchgen", "functorch"] + _LOCAL_RUNTIME or (name.startswith("torch-") and name.endswith(".dist-info")):
            rctx.symlink(entry, name)
    runtime = "\n_RUNTIME = {}\n".format(repr([n for n in _LOCAL_RUNTIME if not n.endswith(".py")])) + _LOCAL_RUNTIME_BUILD
    declare_torch_targets(rctx, python.path, version, where, runtime)

local_torch_repo = repository_rule(
    implementation = _local_torch_repo_impl,
    doc = "The PyTorch that AWQ_TORCH_PATH names, or that an installed Python of the given version can import.",
    attrs = {"python_version": attr.string(mandatory = True, doc = "Such as 3.11.")},
    environ = ["AWQ_TORCH_PATH", "PATH", "HOME", "PYENV_ROOT"],
    configure = True,
    local = True,
)

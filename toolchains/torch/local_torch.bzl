"""A PyTorch that is installed on the machine, for --//config:torch=local."""

load("//bazel/lib:checks.bzl", "no_torch")
load("//bazel/lib:installed_torch.bzl", "find_torch")
load("//bazel/lib:problems.bzl", "format_problem")
load("//bazel/lib:unavailable.bzl", "unavailable_targets")
load("//third_party:versions.bzl", "OFFERS")
load("//third_party/torch:torch.bzl", "TARGETS", "declare_torch_targets")

# The further packages that importing torch needs. The rest of site-packages is not used.
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

# The choice of toolchains depends on this target. Bazel makes it before an error can say that there is no PyTorch.
_NO_TORCH = """\
load("{defs}", "torch_info")

torch_info(
    name = "info",
    version = "none",
    visibility = ["//visibility:public"],
    where = "nowhere",
)

"""

def _local_torch_repo_impl(rctx):
    folder, version, where = find_torch(rctx, rctx.attr.python_version)
    if not folder:
        text = unavailable_targets(TARGETS, format_problem(no_torch(where, OFFERS)))
        rctx.file("BUILD.bazel", _NO_TORCH.format(defs = Label("//third_party/torch:defs.bzl")) + text, executable = False)
        return
    for entry in rctx.path(folder).readdir():
        name = entry.basename
        if name in ["torch", "torchgen", "functorch"] + _LOCAL_RUNTIME or (name.startswith("torch-") and name.endswith(".dist-info")):
            rctx.symlink(entry, name)
    runtime = "\n_RUNTIME = {}\n".format(repr([n for n in _LOCAL_RUNTIME if not n.endswith(".py")])) + _LOCAL_RUNTIME_BUILD
    declare_torch_targets(rctx, version, where, ":runtime", runtime)

local_torch_repo = repository_rule(
    implementation = _local_torch_repo_impl,
    doc = "The PyTorch that AWQ_TORCH_PATH names, or that an installed Python of the given version can import.",
    attrs = {"python_version": attr.string(mandatory = True, doc = "Such as 3.11.")},
    environ = ["AWQ_TORCH_PATH", "PATH", "HOME", "PYENV_ROOT"],
    configure = True,
    local = True,
)

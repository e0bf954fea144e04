"""A CUDA toolkit that is installed on the machine, for --//config:cuda=local."""

load("//bazel/lib:cuda_versions.bzl", "format_version")
load("//bazel/lib:installed_toolkit.bzl", "find_toolkit")
load("//bazel/lib:problems.bzl", "format_problem")
load("//bazel/lib:unavailable.bzl", "unavailable_targets")
load("//third_party:versions.bzl", "OFFERS")
load("//third_party/cuda:build_file.bzl", "TARGETS", "toolkit_build_file")

_INSTALLED = """
installed_toolkit(
    name = "installed",
    version = "{version}",
    where = "{where}",
)
"""

def _local_toolkit_repo_impl(rctx):
    toolkit, problem = find_toolkit(rctx, OFFERS)
    if problem:
        text = unavailable_targets(TARGETS + ["installed"], format_problem(problem))
    else:
        for name, folder in toolkit.links.items():
            rctx.symlink(folder, name)
        version = format_version(toolkit.version)
        text = "load(\"{}\", \"installed_toolkit\")\n".format(Label(":info.bzl")) + toolkit_build_file(version)
        text += _INSTALLED.format(version = version, where = toolkit.where)
    rctx.file("BUILD.bazel", text, executable = False)

local_toolkit_repo = repository_rule(
    implementation = _local_toolkit_repo_impl,
    doc = "The CUDA toolkit that CUDA_HOME names.",
    environ = ["CUDA_HOME", "CUDA_PATH"],
    configure = True,
    local = True,
)

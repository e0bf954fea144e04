"""A CUDA toolkit that is installed on the machine, for --//config:cuda=local.

CUDA_HOME (or CUDA_PATH) names it; nothing else is searched, so that what happens to be on PATH changes nothing.
"""

load(
    "//config:checks.bzl",
    "check_toolkit",
    "incomplete_toolkit",
    "no_cuda_home",
    "no_nvcc",
    "nvcc_does_not_run",
)
load("//config:cuda_versions.bzl", "format_version", "nvcc_version")
load("//config:problems.bzl", "format_problem")
load("//third_party:unavailable.bzl", "unavailable_targets")
load(":build_file.bzl", "NEEDED_FILES", "TARGETS", "toolkit_build_file")

# Where toolkits are usually installed.
USUAL_PLACE = "/usr/local/cuda"

# Where installations keep what the repository's BUILD file expects, best first.
_FOLDERS = {
    "bin": ["bin"],
    "include": ["include", "targets/x86_64-linux/include", "targets/sbsa-linux/include", "targets/aarch64-linux/include"],
    "lib": ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "targets/aarch64-linux/lib"],
    "nvvm": ["nvvm"],
}

def find_toolkit(rctx):
    """Finds the toolkit that CUDA_HOME or CUDA_PATH names, and the parts of it that a build uses.

    Args:
      rctx: the repository context.

    Returns:
      `(toolkit, problem)`, one of which is None: a struct with `version` ((major, minor)), `where` (in words) and `links`
      (a dict from a name in _FOLDERS to the folder it stands for).
    """
    variable = "CUDA_HOME" if rctx.os.environ.get("CUDA_HOME") else "CUDA_PATH"
    home = rctx.os.environ.get(variable, "").rstrip("/")
    if not home or not rctx.path(home).exists:
        usual = USUAL_PLACE if rctx.path(USUAL_PLACE).exists else ""
        return None, no_cuda_home(home, usual)
    nvcc = rctx.path(home + "/bin/nvcc")
    if not nvcc.exists:
        return None, no_nvcc(home)
    result = rctx.execute([nvcc, "--version"], timeout = 60)
    version = nvcc_version(result.stdout)
    if result.return_code != 0 or not version:
        return None, nvcc_does_not_run(str(nvcc), result.stderr + result.stdout)
    where = "{}={}".format(variable, home)
    old = check_toolkit(version, where)
    if old:
        return None, old
    links = {}
    for name, places in _FOLDERS.items():
        found = [p for p in places if rctx.path("{}/{}".format(home, p)).exists]
        if found:
            links[name] = "{}/{}".format(home, found[0])
    for name in NEEDED_FILES:
        folder, _, rest = name.partition("/")
        if folder not in links or not rctx.path(links[folder] + "/" + rest).exists:
            return None, incomplete_toolkit(home, name)
    return struct(links = links, version = version, where = where), None

def _local_toolkit_repo_impl(rctx):
    toolkit, problem = find_toolkit(rctx)
    if problem:
        text = unavailable_targets(TARGETS, format_problem(problem))
    else:
        for name, folder in toolkit.links.items():
            rctx.symlink(folder, name)
        text = toolkit_build_file(format_version(toolkit.version), toolkit.where)
    rctx.file("BUILD.bazel", text, executable = False)

local_toolkit_repo = repository_rule(
    implementation = _local_toolkit_repo_impl,
    doc = "The CUDA toolkit that CUDA_HOME names.",
    environ = ["CUDA_HOME", "CUDA_PATH"],
    configure = True,
    local = True,
)

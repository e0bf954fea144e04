"""Finds a CUDA toolkit that is installed on the machine, for repository rules.

CUDA_HOME (or CUDA_PATH) names it. Nothing else is searched. A toolkit on PATH therefore changes nothing.
"""

load(
    ":checks.bzl",
    "check_toolkit",
    "incomplete_toolkit",
    "no_cuda_home",
    "no_nvcc",
    "nvcc_does_not_run",
)
load(":cuda_versions.bzl", "nvcc_version")

# Where toolkits are usually installed.
USUAL_PLACE = "/usr/local/cuda"

# The files that a build needs from a toolkit. The first folder of each path is a key of _FOLDERS.
_NEEDED_FILES = [
    "bin/ptxas",
    "bin/fatbinary",
    "bin/nvlink",
    "bin/bin2c",
    "bin/crt/link.stub",
    "include/cuda_runtime.h",
    "include/crt/host_config.h",
    "include/nv/target",
    "lib/libcudart_static.a",
]

# The folders that the repository's BUILD file expects, and where installations have them, best place first.
_FOLDERS = {
    "bin": ["bin"],
    "include": ["include", "targets/x86_64-linux/include", "targets/sbsa-linux/include", "targets/aarch64-linux/include"],
    "lib": ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib", "targets/aarch64-linux/lib"],
    "nvvm": ["nvvm"],
}

def find_toolkit(rctx, offers):
    """Finds the toolkit that CUDA_HOME or CUDA_PATH names, and the parts of it that a build uses.

    Args:
      rctx: the repository context.
      offers: the versions that the build can fetch, OFFERS of //third_party:versions.bzl.

    Returns:
      `(toolkit, problem)`, one of which is None. `toolkit` is a struct with `version` ((major, minor)) and `where`
      (text for messages). Its `links` is a dict from a key of _FOLDERS to the folder in the installation.
    """
    variable = "CUDA_HOME" if rctx.os.environ.get("CUDA_HOME") else "CUDA_PATH"
    home = rctx.os.environ.get(variable, "").rstrip("/")
    if home.startswith("/"):
        rctx.watch(home)
    if not home.startswith("/") or not rctx.path(home).exists:
        usual = USUAL_PLACE if rctx.path(USUAL_PLACE).exists else ""
        return None, no_cuda_home(home, usual, offers)
    nvcc = rctx.path(home + "/bin/nvcc")
    rctx.watch(nvcc)
    for name in _NEEDED_FILES:
        folder, _, rest = name.partition("/")
        for place in _FOLDERS[folder]:
            rctx.watch("{}/{}/{}".format(home, place, rest))
    if not nvcc.exists:
        return None, no_nvcc(home, offers)
    result = rctx.execute([nvcc, "--version"], timeout = 60)
    version = nvcc_version(result.stdout)
    if result.return_code != 0 or not version:
        return None, nvcc_does_not_run(str(nvcc), result.stderr + result.stdout)
    where = "{}={}".format(variable, home)
    old = check_toolkit(version, where, offers)
    if old:
        return None, old
    links = {}
    for folder, places in _FOLDERS.items():
        needed = [name[len(folder) + 1:] for name in _NEEDED_FILES if name.startswith(folder + "/")]
        there = ["{}/{}".format(home, place) for place in places if rctx.path("{}/{}".format(home, place)).exists]

        # An installation may have several of these folders, some of them empty. conda has headers in targets/ alone.
        whole = [path for path in there if not [name for name in needed if not rctx.path(path + "/" + name).exists]]
        if whole or there:
            links[folder] = (whole or there)[0]
    for name in _NEEDED_FILES:
        folder, _, rest = name.partition("/")
        if folder not in links or not rctx.path(links[folder] + "/" + rest).exists:
            return None, incomplete_toolkit(home, name)
    return struct(links = links, version = version, where = where), None

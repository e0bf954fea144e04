"""CUDA toolkits that the build fetches: nvcc, its headers and the runtime, from the vendor's own packages.

CUDA files on the host are not used. All packages are unpacked into one folder, which gives the usual layout.
"""

load("//bazel/lib:machine.bzl", "machine_problem")
load("//bazel/lib:problems.bzl", "archive_failed", "format_problem")
load("//third_party:versions.bzl", "DEFAULT_PYTHON")
load("//third_party/deb:deb.bzl", "unpack_debs")
load("//third_party/pip:wheels.bzl", "download_wheels", "locked_wheels")
load(":build_file.bzl", "toolkit_build_file")

def _finish(rctx):
    rctx.file("BUILD.bazel", toolkit_build_file(rctx.attr.version), executable = False)

def _wheels_toolkit_repo_impl(rctx):
    packages = locked_wheels(rctx.read(rctx.path(rctx.attr.lock))).keys()
    download_wheels(rctx, rctx.attr.lock, packages, DEFAULT_PYTHON, "wheel")
    root = "wheel/nvidia/cu" + rctx.attr.version.split(".")[0]
    for part in ["bin", "include", "lib", "nvvm"]:
        result = rctx.execute(["mv", "{}/{}".format(root, part), part])
        if result.return_code != 0:
            fail("the wheels of {} hold no {}/{}: {}".format(rctx.attr.lock, root, part, result.stderr))
    licenses = [f.get_child("licenses").get_child("License.txt") for f in rctx.path("wheel").readdir() if f.basename.endswith(".dist-info")]
    rctx.execute(["mv", [f for f in licenses if f.exists][0], "LICENSE"])
    rctx.delete("wheel")
    _finish(rctx)

wheels_toolkit_repo = repository_rule(
    implementation = _wheels_toolkit_repo_impl,
    doc = "A CUDA toolkit from the vendor's locked wheels.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The wheels of the toolkit, with hashes."),
        "version": attr.string(mandatory = True, doc = "CUDA version as major.minor."),
    },
)

# Components of the manifest. cuda_nvcc has the crt headers, cuda_cudart the runtime, cuda_cccl nv/target.
_COMPONENTS = ["cuda_nvcc", "cuda_cudart", "cuda_cccl"]

# The manifest's names of the processors.
_REDIST_PLATFORMS = {"aarch64": "linux-sbsa", "x86_64": "linux-x86_64"}

# nvcc.profile, by which nvcc finds its parts. Debian's own file names folders of an installed toolkit.
_PROFILE = """\
TOP = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
"""

# Parts of the usual layout, and their paths in Debian's packages.
_DEBIAN_LAYOUT = {
    "bin/bin2c": "usr/bin/bin2c",
    "bin/crt": "usr/lib/nvidia-cuda-toolkit/bin/crt",
    "bin/cudafe++": "usr/bin/cudafe++",
    "bin/fatbinary": "usr/bin/fatbinary",
    "bin/nvcc": "usr/lib/nvidia-cuda-toolkit/bin/nvcc",
    "bin/nvlink": "usr/bin/nvlink",
    "bin/ptxas": "usr/bin/ptxas",
    "include": "usr/include",
    "lib/libcudart_static.a": "usr/lib/x86_64-linux-gnu/libcudart_static.a",
    "LICENSE": "usr/share/doc/nvidia-cuda-toolkit/copyright",
    "nvvm/bin/cicc": "usr/lib/nvidia-cuda-toolkit/bin/cicc",
    "nvvm/libdevice": "usr/lib/nvidia-cuda-toolkit/libdevice",
}

def _debian_toolkit(rctx):
    """Makes the toolkit from Debian's packages of the same release."""
    unpack_debs(rctx, rctx.attr.debs)
    rctx.execute(["mkdir", "-p", "bin", "lib", "nvvm/bin"])
    for part, source in _DEBIAN_LAYOUT.items():
        result = rctx.execute(["mv", "debs/" + source, part])
        if result.return_code != 0:
            fail("the packages of {} hold no {}: {}".format(rctx.attr.debs, source, result.stderr))
    rctx.file("bin/nvcc.profile", _PROFILE, executable = False)
    rctx.delete("debs")
    _finish(rctx)

def _redist_toolkit_repo_impl(rctx):
    from_debian = rctx.attr.debs and rctx.os.environ.get("AWQ_DEB_FETCH")
    found = machine_problem(rctx, str(rctx.path(".")), 6 if from_debian else 1)
    if found:
        fail(format_problem(found))
    if from_debian:
        _debian_toolkit(rctx)
        return
    manifest_url = rctx.attr.manifest
    if not rctx.download(manifest_url, "manifest.json", sha256 = rctx.attr.sha256, allow_fail = True).success:
        fail(format_problem(archive_failed(manifest_url, rctx.attr.sha256, rctx.attr.version)))
    manifest = json.decode(rctx.read("manifest.json"))
    for component in _COMPONENTS:
        archive = manifest[component][_REDIST_PLATFORMS[rctx.attr.cpu]]
        path = archive["relative_path"]
        url = manifest_url.rpartition("/")[0] + "/" + path
        prefix = path.rpartition("/")[2].removesuffix(".tar.xz")

        # Positional arguments, because the name of the prefix parameter differs among versions of Bazel. The last
        # argument is allow_fail.
        if not rctx.download_and_extract(url, "", archive["sha256"], "", prefix, True).success:
            fail(format_problem(archive_failed(url, archive["sha256"], rctx.attr.version)))
    rctx.delete("manifest.json")
    _finish(rctx)

redist_toolkit_repo = repository_rule(
    implementation = _redist_toolkit_repo_impl,
    doc = "A CUDA toolkit from the vendor's redistributable archives. In the offline mode, from Debian's packages.",
    attrs = {
        "cpu": attr.string(mandatory = True, values = ["x86_64", "aarch64"], doc = "The processor that nvcc runs on."),
        "debs": attr.label(allow_single_file = True, doc = "Lock of Debian's packages of the same release, if any."),
        "manifest": attr.string(mandatory = True, doc = "Address of the manifest. The archives are beside it."),
        "sha256": attr.string(mandatory = True, doc = "Checksum of the manifest, which has the checksums of the archives."),
        "version": attr.string(mandatory = True, doc = "CUDA version as major.minor."),
    },
)

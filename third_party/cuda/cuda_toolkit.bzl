"""CUDA toolkits that the build brings along: nvcc, its headers and the runtime, from the vendor's own packages.

Nothing of CUDA on the host is looked at. The packages are unpacked over each other, which gives the usual layout.
"""

load("//bazel/lib:machine.bzl", "machine_problem")
load("//bazel/lib:problems.bzl", "archive_failed", "format_problem")
load("//third_party:versions.bzl", "DEFAULT_PYTHON")
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
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The wheels the toolkit is made of, with hashes."),
        "version": attr.string(mandatory = True, doc = "CUDA version as major.minor."),
    },
)

# Of the manifest. nvcc's archive holds the crt headers, cudart's the runtime, cccl's nv/target.
_COMPONENTS = ["cuda_nvcc", "cuda_cudart", "cuda_cccl"]

# As the manifest calls processors.
_REDIST_PLATFORMS = {"aarch64": "linux-sbsa", "x86_64": "linux-x86_64"}

def _redist_toolkit_repo_impl(rctx):
    found = machine_problem(rctx, str(rctx.path(".")), 1)
    if found:
        fail(format_problem(found))
    manifest_url = rctx.attr.manifest
    if not rctx.download(manifest_url, "manifest.json", sha256 = rctx.attr.sha256, allow_fail = True).success:
        fail(format_problem(archive_failed(manifest_url, rctx.attr.sha256, rctx.attr.version)))
    manifest = json.decode(rctx.read("manifest.json"))
    for component in _COMPONENTS:
        archive = manifest[component][_REDIST_PLATFORMS[rctx.attr.cpu]]
        path = archive["relative_path"]
        url = manifest_url.rpartition("/")[0] + "/" + path
        prefix = path.rpartition("/")[2].removesuffix(".tar.xz")

        # By position: the prefix's name differs among versions of Bazel. The last allows failure.
        if not rctx.download_and_extract(url, "", archive["sha256"], "", prefix, True).success:
            fail(format_problem(archive_failed(url, archive["sha256"], rctx.attr.version)))
    rctx.delete("manifest.json")
    _finish(rctx)

redist_toolkit_repo = repository_rule(
    implementation = _redist_toolkit_repo_impl,
    doc = "A CUDA toolkit from the vendor's redistributable archives.",
    attrs = {
        "cpu": attr.string(mandatory = True, values = ["x86_64", "aarch64"], doc = "The processor nvcc runs on."),
        "manifest": attr.string(mandatory = True, doc = "Address of the manifest; the archives lie beside it."),
        "sha256": attr.string(mandatory = True, doc = "The manifest's checksum; it holds the archives'."),
        "version": attr.string(mandatory = True, doc = "CUDA version as major.minor."),
    },
)

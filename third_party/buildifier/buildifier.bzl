"""buildifier, the formatter of BUILD and .bzl files, from its npm package.

Only the development of this workspace needs it. If npm or its registry cannot be reached, the repository has the reason
instead of the program. Bazel then reports the test that needs buildifier as skipped.
"""

def _buildifier_repo_impl(rctx):
    reason = None
    npm = rctx.which("npm")
    if not npm:
        reason = "npm is not installed"
    else:
        package = "@bazel/buildifier@" + rctx.attr.version
        result = rctx.execute([npm, "pack", package, "--silent", "--pack-destination", "."], timeout = 120)
        archives = [f for f in rctx.path(".").readdir() if f.basename.endswith(".tgz")]
        if result.return_code != 0 or len(archives) != 1:
            reason = "npm could not fetch {}: {}".format(package, result.stderr.strip().replace("\n", " ")[-300:])
        else:
            sums = rctx.execute(["sha256sum", archives[0]])
            if sums.stdout.split(" ")[0] != rctx.attr.sha256:
                fail("{} has sha256 {}, expected {}".format(package, sums.stdout.split(" ")[0], rctx.attr.sha256))
            rctx.extract(archives[0], stripPrefix = "package")
            rctx.delete(archives[0])
    rctx.file("unavailable.txt", reason or "", executable = False)
    rctx.file("BUILD.bazel", """\
filegroup(
    name = "buildifier",
    srcs = glob(["buildifier-linux_amd64", "unavailable.txt"], allow_empty = True),
    visibility = ["//visibility:public"],
)

# For target_compatible_with of what needs it.
alias(
    name = "available",
    actual = "{}",
    visibility = ["//visibility:public"],
)
""".format("@platforms//:incompatible" if reason else "@platforms//os:linux"), executable = False)

buildifier_repo = repository_rule(
    implementation = _buildifier_repo_impl,
    doc = "The file `buildifier-linux_amd64`. If it is absent, `unavailable.txt` has the reason.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "Version of the npm package."),
        "sha256": attr.string(mandatory = True, doc = "Checksum of the package's archive."),
    },
)

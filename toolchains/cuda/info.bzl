"""What an installed CUDA toolkit is."""

load("//bazel/lib:cuda_versions.bzl", "parse_version")

InstalledToolkitInfo = provider(
    doc = "What an installed CUDA toolkit is.",
    fields = {
        "version": "(major, minor)",
        "where": "where it lies, in words",
    },
)

def _installed_toolkit_impl(ctx):
    return InstalledToolkitInfo(version = parse_version(ctx.attr.version), where = ctx.attr.where)

installed_toolkit = rule(
    implementation = _installed_toolkit_impl,
    doc = "Says what an installed CUDA toolkit is.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "As major.minor."),
        "where": attr.string(mandatory = True, doc = "In words."),
    },
    provides = [InstalledToolkitInfo],
)

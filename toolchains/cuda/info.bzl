"""Facts about an installed CUDA toolkit."""

load("//bazel/lib:cuda_versions.bzl", "parse_version")

InstalledToolkitInfo = provider(
    doc = "Facts about an installed CUDA toolkit.",
    fields = {
        "version": "(major, minor)",
        "where": "its place as text for messages",
    },
)

def _installed_toolkit_impl(ctx):
    return InstalledToolkitInfo(version = parse_version(ctx.attr.version), where = ctx.attr.where)

installed_toolkit = rule(
    implementation = _installed_toolkit_impl,
    doc = "States facts about an installed CUDA toolkit.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "Version as major.minor."),
        "where": attr.string(mandatory = True, doc = "Its place as text for messages."),
    },
    provides = [InstalledToolkitInfo],
)

"""The module extension `python`, for installed interpreters. Where no workspace names a version, it is the one that the machine has."""

load("//python/private:installed_python.bzl", "python_repositories", "toolchains_repo")

def _name(version):
    return "python_" + (version.replace(".", "_") or "any")

def _python_impl(mctx):
    versions = {"": True}
    default = ""
    for module in mctx.modules:
        tags = module.tags.toolchain
        for tag in tags:
            versions[tag.python_version] = True

            # The root module decides: the version it marks, or the only one it names.
            if module.is_root and (tag.is_default or len(tags) == 1):
                default = tag.python_version
    for version in versions:
        python_repositories(_name(version), version)
    toolchains_repo(name = "pythons_hub", python = _name(default))

python = module_extension(
    implementation = _python_impl,
    doc = "Repositories `python_3_11` and so on, and toolchains of the version that is the default.",
    tag_classes = {
        "toolchain": tag_class(attrs = {
            "is_default": attr.bool(doc = "Whether programs run with it."),
            "python_version": attr.string(mandatory = True, doc = "Major and minor version, such as 3.11."),
        }),
    },
)

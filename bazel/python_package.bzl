"""A Python package beside the extension modules, so that one output folder has everything that a program imports."""

def _python_package_impl(ctx):
    files = []
    for source in ctx.files.srcs:
        path = source.short_path.removeprefix("../").partition(ctx.label.package + "/")[2]
        file = ctx.actions.declare_file(path)
        ctx.actions.symlink(output = file, target_file = source)
        files.append(file)
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files))]

python_package = rule(
    implementation = _python_package_impl,
    doc = "Links a package's files into the output folder of the BUILD file's package.",
    attrs = {"srcs": attr.label_list(mandatory = True, allow_files = True, doc = "The package's files, below this folder.")},
)

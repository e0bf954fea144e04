"""A wheel of plain Python modules, for any Python and any platform."""

def _pure_wheel_impl(ctx):
    wheel = ctx.actions.declare_file("{}-{}-py3-none-any.whl".format(ctx.attr.distribution.replace("-", "_"), ctx.attr.version))
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode_indent({
        "distribution": ctx.attr.distribution,
        "files": {f.basename: f.path for f in ctx.files.srcs},
        "license": ctx.file.license.path,
        "requires": ctx.attr.requires,
        "requires_python": ctx.attr.requires_python,
        "summary": ctx.attr.summary,
        "version": ctx.attr.version,
    }))
    ctx.actions.run(
        executable = ctx.executable._make_pure_wheel,
        arguments = [description.path, wheel.path],
        inputs = [description, ctx.file.license] + ctx.files.srcs,
        outputs = [wheel],
        mnemonic = "PureWheel",
        progress_message = "Packing the wheel of " + ctx.attr.distribution,
    )
    return [DefaultInfo(files = depset([wheel]), runfiles = ctx.runfiles([wheel]))]

pure_wheel = rule(
    implementation = _pure_wheel_impl,
    doc = "One wheel, with its modules at the top level.",
    attrs = {
        "distribution": attr.string(mandatory = True, doc = "Name under which pip knows the wheel."),
        "license": attr.label(mandatory = True, allow_single_file = True, doc = "The licence of the code."),
        "requires": attr.string_list(doc = "Requirements, as pip writes them."),
        "requires_python": attr.string(mandatory = True, doc = "The oldest Python."),
        "srcs": attr.label_list(mandatory = True, allow_files = [".py"], doc = "The modules."),
        "summary": attr.string(mandatory = True, doc = "One line about the wheel."),
        "version": attr.string(mandatory = True, doc = "Version."),
        "_make_pure_wheel": attr.label(default = "//bazel/wheel:make_pure_wheel", executable = True, cfg = "exec"),
    },
)

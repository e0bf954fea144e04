"""Repositories that hold nothing but choices among others.

The settings in //config choose by select(), so every alternative has to be visible where the choice is made. Made here,
beside the alternatives, it keeps MODULE.bazel from listing each of them.
"""

def _hub_repo_impl(rctx):
    rctx.file("BUILD.bazel", "load(\"{}\", \"{}\")\n\n{}(name = \"targets\")\n".format(
        rctx.attr.bzl,
        rctx.attr.macro,
        rctx.attr.macro,
    ), executable = False)

hub_repo = repository_rule(
    implementation = _hub_repo_impl,
    doc = "A repository whose targets a macro declares; in labels the macro sees the repositories made beside this one.",
    attrs = {
        "bzl": attr.label(mandatory = True, doc = "The file that has the macro."),
        "macro": attr.string(mandatory = True, doc = "Its name."),
    },
)

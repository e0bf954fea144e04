"""Hub repositories: aliases that choose among other repositories by select().

The settings in //config control these choices. Every alternative must be visible to the repository that chooses. A hub
is declared beside its alternatives, so MODULE.bazel need not list each of them.
"""

def _hub_repo_impl(rctx):
    rctx.file("BUILD.bazel", "load(\"{}\", \"{}\")\n\n{}(name = \"targets\")\n".format(
        rctx.attr.bzl,
        rctx.attr.macro,
        rctx.attr.macro,
    ), executable = False)

hub_repo = repository_rule(
    implementation = _hub_repo_impl,
    doc = "A repository whose targets a macro declares. The macro's labels may name repositories declared beside it.",
    attrs = {
        "bzl": attr.label(mandatory = True, doc = "The file that has the macro."),
        "macro": attr.string(mandatory = True, doc = "The name of the macro."),
    },
)

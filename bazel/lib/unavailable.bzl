"""Stands for what the machine lacks: whatever uses it fails when it is analysed, and says how to cure that.

(Failing while the repository is fetched would be worse: Bazel fetches a repository also when it only checks whether
earlier results, made while the thing was there, are still up to date.)
"""

def _unavailable_impl(ctx):
    fail(ctx.attr.message)

unavailable = rule(
    implementation = _unavailable_impl,
    doc = "A target that cannot be used.",
    attrs = {"message": attr.string(mandatory = True, doc = "What is missing and how to get it.")},
)

def unavailable_targets(names, message):
    """The content of a BUILD file whose targets cannot be used.

    Args:
      names: of the targets.
      message: what is missing and how to get it.

    Returns:
      The text.
    """
    return """\
load("{rule}", "unavailable")

[
    unavailable(
        name = name,
        message = {message},
        visibility = ["//visibility:public"],
    )
    for name in {names}
]
""".format(
        rule = Label(":unavailable.bzl"),
        message = repr(message),
        names = repr(names),
    )

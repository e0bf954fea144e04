"""A placeholder for something that the machine lacks. A target that depends on it fails at analysis, with the cure.

A failure during the fetch of the repository would be worse. Bazel also fetches a repository to check whether earlier
results are up to date. These results may come from a time when the missing thing was there.
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

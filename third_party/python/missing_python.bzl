"""Stands for a Python that the machine lacks: whatever uses it fails when it is analysed, and says how to cure that.

(Failing while the repository is fetched would be worse: Bazel fetches a repository also when it only checks whether
earlier results, made while the interpreter was there, are still up to date.)
"""

def _missing_python_impl(ctx):
    fail(ctx.attr.message)

missing_python = rule(
    implementation = _missing_python_impl,
    doc = "A target that cannot be used.",
    attrs = {"message": attr.string(mandatory = True, doc = "What is missing and how to get it.")},
)

"""Analysis tests of py_library: what rules_python documents, as far as this workspace and those that include it rely on it."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_python//python:py_info.bzl", "PyInfo")

def _python_library_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    sources = [f.basename for f in target[PyInfo].transitive_sources.to_list()]
    asserts.equals(env, ctx.attr.sources, sorted(sources))

    # Relative to the runfiles' root, where the folder of this workspace is called so.
    here = ctx.workspace_name + "/" + target.label.package
    imports = [here if folder == "." else here + "/" + folder for folder in ctx.attr.imports]
    asserts.equals(env, imports, sorted(target[PyInfo].imports.to_list()))

    runfiles = [f.basename for f in target[DefaultInfo].default_runfiles.files.to_list()]
    for name in ctx.attr.sources + ctx.attr.data:
        asserts.true(env, name in runfiles, "{} is not among the runfiles {}".format(name, runfiles))
    return analysistest.end(env)

python_library_test = analysistest.make(
    _python_library_test_impl,
    doc = "Looks at what a Python library gives to those that depend on it.",
    attrs = {
        "data": attr.string_list(doc = "Names of files that have to be there when it is run."),
        "imports": attr.string_list(doc = "Folders that Python searches, relative to the package, sorted."),
        "sources": attr.string_list(doc = "Names of all sources, sorted."),
    },
)

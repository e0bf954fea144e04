"""The environment that repository rules see, for //doctor. Bazel does not pass it to the programs that it runs.

It is a separate repository, so that no build depends on these variables.
"""

load("//bazel/lib:variables.bzl", "VARIABLES")

def _doctor_environment_repo_impl(rctx):
    environment = {name: rctx.os.environ[name] for name in VARIABLES if name in rctx.os.environ}
    rctx.file("doctor_environment.bzl", "\n".join([
        "\"\"\"Taken from the environment.\"\"\"",
        "",
        "ENVIRONMENT = {}".format(repr(environment)),
        "BAZEL_VERSION = {}".format(repr(native.bazel_version)),
        "PYTHON_IS_INSTALLED = {}".format(rctx.os.environ.get("AWQ_PYTHON") == "installed"),
        "",
    ]), executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

doctor_environment_repo = repository_rule(
    implementation = _doctor_environment_repo_impl,
    doc = "The environment that repository rules see, and whether the build uses an installed Python.",
    environ = VARIABLES + ["AWQ_PYTHON"],  # the offline rc file sets it: Python then comes from the machine
    configure = True,
    local = True,
)

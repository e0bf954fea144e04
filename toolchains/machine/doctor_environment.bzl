"""What //doctor has to know of the environment that repository rules see: of it, Bazel shows nothing to programs it runs.

A repository of its own, so that no build depends on these variables.
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
    doc = "Says which environment repository rules see, and where the build takes Python from.",
    environ = VARIABLES + ["AWQ_PYTHON"],  # the offline rc file says by it that Python comes from the machine
    configure = True,
    local = True,
)

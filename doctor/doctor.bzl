"""A program that runs on whatever Python the machine has, so that no broken toolchain or toolkit keeps it from running."""

load(
    "@awq_doctor_environment//:doctor_environment.bzl",
    "BAZEL_VERSION",
    "ENVIRONMENT",
    "PYTHON_IS_INSTALLED",
)
load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cuda//cuda:defs.bzl", "cuda_archs")

def _selected_settings_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    processors = [
        processor.label.name
        for processor in ctx.attr.processors
        if ctx.target_platform_has_constraint(processor[platform_common.ConstraintValueInfo])
    ]
    ctx.actions.write(out, json.encode_indent({
        "bazel_version": BAZEL_VERSION,
        "environment": ENVIRONMENT,
        "processor": processors[0] if processors else "",
        "python_is_installed": PYTHON_IS_INSTALLED,
        "rules_archs": cuda_archs,
        "settings": {setting.label.name: setting[BuildSettingInfo].value for setting in ctx.attr.settings},
    }) + "\n")
    return DefaultInfo(files = depset([out]))

selected_settings = rule(
    implementation = _selected_settings_impl,
    doc = "Writes values of build settings, the processor to build for, and the environment of repository rules to a JSON file.",
    attrs = {
        "processors": attr.label_list(
            providers = [platform_common.ConstraintValueInfo],
            doc = "The processors among which the one to build for is.",
        ),
        "settings": attr.label_list(providers = [BuildSettingInfo], doc = "The build settings."),
    },
)

# sh, because whether there is a Python is the first question.
_LAUNCHER = """\
#!/bin/sh
runfiles=$0.runfiles
[ -d "$runfiles" ] || runfiles=$RUNFILES_DIR # among the files of another program
IFS=:
for folder in $PATH /usr/bin; do
  for python in "$folder"/python3 "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]; do
    if "$python" -E -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
      exec "$python" -E -s -B "$runfiles/{main}" --settings "$runfiles/{settings}" "$@"
    fi
  done
done
echo "doctor: needs Python 3.9 or newer, on PATH or as /usr/bin/python3" >&2
exit 1
"""

def _runfiles_path(ctx, file):
    """A file's path among runfiles; its repository need not be the main one."""
    path = file.short_path
    return path[len("../"):] if path.startswith("../") else ctx.workspace_name + "/" + path

def _machine_python_binary_impl(ctx):
    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(launcher, _LAUNCHER.format(
        main = _runfiles_path(ctx, ctx.file.main),
        settings = _runfiles_path(ctx, ctx.file.settings),
    ), is_executable = True)
    return DefaultInfo(
        executable = launcher,
        runfiles = ctx.runfiles([ctx.file.main, ctx.file.settings] + ctx.files.srcs + ctx.files.data),
    )

machine_python_binary = rule(
    implementation = _machine_python_binary_impl,
    doc = "Runs a Python program, given --settings=FILE, with the first Python 3.9 or newer that the machine has.",
    attrs = {
        "data": attr.label_list(allow_files = True, doc = "Files it reads."),
        "main": attr.label(mandatory = True, allow_single_file = [".py"], doc = "The file that is run."),
        "settings": attr.label(mandatory = True, allow_single_file = True, doc = "What `selected_settings` wrote."),
        "srcs": attr.label_list(allow_files = [".py"], doc = "Modules beside it."),
    },
    executable = True,
)

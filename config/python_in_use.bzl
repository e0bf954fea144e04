"""The Python that toolchain resolution selects."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//bazel/lib:checks.bzl", "check_python")
load("//bazel/lib:problems.bzl", "format_problem")
load("//third_party:versions.bzl", "OFFERS")

_PY_CC_TOOLCHAIN_TYPE = "@rules_python//python/cc:toolchain_type"

def _python_in_use_impl(ctx):
    # The ABI of 3.11.9 is that of 3.11.
    version = ".".join(ctx.toolchains[_PY_CC_TOOLCHAIN_TYPE].py_cc_toolchain.python_version.split(".")[:2])
    found = check_python(version, OFFERS)
    if found:
        fail(format_problem(found))
    return [BuildSettingInfo(value = version), config_common.FeatureFlagInfo(value = version)]

python_in_use = rule(
    implementation = _python_in_use_impl,
    doc = "The version of the selected Python, from any registered toolchain. config_setting can test it.",
    toolchains = [_PY_CC_TOOLCHAIN_TYPE],
)

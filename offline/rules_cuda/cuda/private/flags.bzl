"""Build settings of rules_cuda."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":archs.bzl", "gencodes")
load(":providers.bzl", "CudaArchsInfo")

def _cuda_archs_flag_impl(ctx):
    return CudaArchsInfo(gencodes = gencodes(ctx.build_setting_value))

cuda_archs_flag = rule(
    implementation = _cuda_archs_flag_impl,
    doc = "The architectures to compile for, in rules_cuda's grammar.",
    build_setting = config.string(flag = True),
    provides = [CudaArchsInfo],
)

def _repeatable_string_flag_impl(ctx):
    return BuildSettingInfo(value = [v for v in ctx.build_setting_value if v])

repeatable_string_flag = rule(
    implementation = _repeatable_string_flag_impl,
    doc = "A flag that may be given several times; each occurrence adds one option.",
    build_setting = config.string(flag = True, allow_multiple = True),
    provides = [BuildSettingInfo],
)

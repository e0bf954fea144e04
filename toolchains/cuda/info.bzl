"""Where the selected CUDA toolkit comes from."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//bazel/lib:checks.bzl", "check_registered_version")
load("//bazel/lib:cuda_versions.bzl", "parse_version")
load("//bazel/lib:problems.bzl", "REGISTERED_TOOLKIT", "format_problem")

CudaSourceInfo = provider(
    doc = "Where the selected CUDA toolkit comes from, for messages.",
    fields = {
        "version": "(major, minor)",
        "where": "in words",
    },
)

def _cuda_source_impl(ctx):
    return CudaSourceInfo(version = parse_version(ctx.attr.version), where = ctx.attr.where)

cuda_source = rule(
    implementation = _cuda_source_impl,
    doc = "Says where a CUDA toolkit comes from.",
    attrs = {
        "version": attr.string(mandatory = True, doc = "As major.minor."),
        "where": attr.string(mandatory = True, doc = "In words."),
    },
    provides = [CudaSourceInfo],
)

def _registered_cuda_source_impl(ctx):
    text = ctx.attr.version[BuildSettingInfo].value
    found = check_registered_version(text)
    if found:
        fail(format_problem(found))
    return CudaSourceInfo(version = parse_version(text), where = REGISTERED_TOOLKIT)

registered_cuda_source = rule(
    implementation = _registered_cuda_source_impl,
    doc = "The CUDA toolkit of a toolchain that the including workspace registers: rules_cuda does not tell its version, so a setting does.",
    attrs = {"version": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The setting.")},
    provides = [CudaSourceInfo],
)

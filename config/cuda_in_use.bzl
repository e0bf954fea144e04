"""The CUDA toolkit that a build uses: the one that the setting names, or the one that fits PyTorch."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//bazel/lib:checks.bzl", "toolkit_of_torch")
load("//third_party:versions.bzl", "OFFERS")
load("//third_party/torch:defs.bzl", "TorchInfo")

def _cuda_in_use_impl(ctx):
    value = ctx.attr.cuda[BuildSettingInfo].value
    if value == "auto":
        torch = ctx.attr.torch[BuildSettingInfo].value
        cuda = ctx.attr.local_torch[TorchInfo].cuda if ctx.attr.local_torch else OFFERS.torch[torch].cuda
        value = toolkit_of_torch(cuda, OFFERS)
    return [BuildSettingInfo(value = value), config_common.FeatureFlagInfo(value = value)]

cuda_in_use = rule(
    implementation = _cuda_in_use_impl,
    doc = "A value of //config:cuda, with `auto` replaced by a version. config_setting can test it.",
    attrs = {
        "cuda": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The toolkit that the setting names."),
        "local_torch": attr.label(providers = [TorchInfo], doc = "The installed PyTorch, if its CUDA version decides."),
        "torch": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The selected PyTorch."),
    },
)

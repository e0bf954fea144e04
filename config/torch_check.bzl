"""The check that PyTorch fits the CUDA toolkit and Python."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//bazel/lib:checks.bzl", "check_pairing", "check_torch", "check_torch_python")
load("//bazel/lib:problems.bzl", "format_problem")
load("//third_party:versions.bzl", "OFFERS")
load("//third_party/torch:defs.bzl", "TorchInfo")
load(":cuda_build.bzl", "CudaBuildInfo")

def _torch_check_impl(ctx):
    build = ctx.attr.build[CudaBuildInfo]
    torch = ctx.attr.torch[TorchInfo]
    found = check_torch(torch.version, torch.cuda, torch.where, OFFERS)
    found = found or check_torch_python(torch.python, ctx.attr.python[BuildSettingInfo].value, torch.where)
    if not found:
        found, warning = check_pairing(
            build.version,
            build.where,
            torch.version,
            torch.cuda,
            torch.where,
            ctx.attr.allow_minor_mismatch[BuildSettingInfo].value,
            OFFERS,
        )
        if warning:
            # buildifier: disable=print
            print("Warning: " + format_problem(warning))
    if found:
        fail(format_problem(found))
    return CcInfo()

torch_check = rule(
    implementation = _torch_check_impl,
    doc = "Checks that PyTorch fits the CUDA toolkit and Python. Targets that include PyTorch depend on it.",
    attrs = {
        "allow_minor_mismatch": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "Whether minor versions of CUDA may differ."),
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The toolkit."),
        "python": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The selected Python."),
        "torch": attr.label(mandatory = True, providers = [TorchInfo], doc = "The selected PyTorch."),
    },
    provides = [CcInfo],
)

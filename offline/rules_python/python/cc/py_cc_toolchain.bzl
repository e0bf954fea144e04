"""The C side of a Python: its headers."""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

_TOOLCHAIN_TYPE = Label("//python/cc:toolchain_type")

def _py_cc_toolchain_impl(ctx):
    headers = ctx.attr.headers
    providers = {"CcInfo": headers[CcInfo], "DefaultInfo": headers[DefaultInfo]}
    return platform_common.ToolchainInfo(py_cc_toolchain = struct(
        headers = struct(providers_map = providers),
        python_version = ctx.attr.python_version,
    ))

py_cc_toolchain = rule(
    implementation = _py_cc_toolchain_impl,
    doc = "The headers of a Python of one version.",
    attrs = {
        "headers": attr.label(mandatory = True, providers = [CcInfo], doc = "A cc_library."),
        "python_version": attr.string(mandatory = True, doc = "Such as 3.11."),
    },
)

def _current_py_cc_headers_impl(ctx):
    return ctx.toolchains[_TOOLCHAIN_TYPE].py_cc_toolchain.headers.providers_map.values()

current_py_cc_headers = rule(
    implementation = _current_py_cc_headers_impl,
    doc = "The headers of the Python that toolchain resolution selects.",
    provides = [CcInfo],
    toolchains = [_TOOLCHAIN_TYPE],
)

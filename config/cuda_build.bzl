"""The CUDA toolkit and the architectures of a build, checked against each other."""

load("@awq_environment//:environment.bzl", "HOST_COMPILER", "TORCH_CUDA_ARCH_LIST")
load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cuda//cuda:defs.bzl", "cuda_archs")
load(
    "//bazel/lib:checks.bzl",
    "check_host_compiler",
    "check_registered_version",
    "check_toolchain",
    "check_toolkit",
    "select_archs",
)
load("//bazel/lib:cuda_versions.bzl", "parse_version")
load("//bazel/lib:problems.bzl", "FETCHED_TOOLKIT", "REGISTERED_TOOLKIT", "format_problem")
load("//third_party:versions.bzl", "OFFERS")
load("//toolchains/cc/gcc:config.bzl", "GCC_IDENTIFIER")
load("//toolchains/cuda:info.bzl", "InstalledToolkitInfo")

CudaBuildInfo = provider(
    doc = "The CUDA toolkit in use and the architectures that are built with it.",
    fields = {
        "archs": "list of structs with `arch` (such as \"90a\") and `ptx` (bool), oldest first",
        "version": "(major, minor) of the toolkit",
        "where": "where the toolkit comes from, as text for messages",
    },
)

_CUDA_TOOLCHAIN_TYPE = "@rules_cuda//cuda:toolchain_type"

def _toolkit(ctx, cuda):
    """The selected toolkit: its version, its origin as text, and a problem or None."""
    if cuda == "local":
        toolkit = ctx.attr.installed[InstalledToolkitInfo]
        return toolkit.version, toolkit.where, None
    if cuda == "registered":
        # rules_cuda does not expose the version of a toolchain, so a flag states it.
        text = ctx.attr.registered_version[BuildSettingInfo].value
        found = check_registered_version(text)
        return None if found else parse_version(text), REGISTERED_TOOLKIT, found
    return parse_version(cuda), FETCHED_TOOLKIT, None

def _check_compiler(toolchain, cuda):
    """Checks that nvcc accepts the C++ compiler. Toolchains that a user registers are not checked."""
    if toolchain.toolchain_id.startswith(GCC_IDENTIFIER):
        return check_host_compiler("gcc", toolchain.toolchain_id.removeprefix(GCC_IDENTIFIER), None, cuda)
    if toolchain.toolchain_id == "local" and HOST_COMPILER:  # Bazel's own detection
        return check_host_compiler(HOST_COMPILER["kind"], HOST_COMPILER["version"], HOST_COMPILER["path"], cuda)
    return None

def _cuda_build_impl(ctx):
    cuda = ctx.attr.cuda[BuildSettingInfo].value
    version, where, found = _toolkit(ctx, cuda)
    found = found or check_toolkit(version, where, OFFERS)
    toolchain = ctx.toolchains[_CUDA_TOOLCHAIN_TYPE]
    if not found and toolchain:
        # The subset of rules_cuda has a File here, the real rules a path.
        compiler = toolchain.compiler_executable
        found = check_toolchain(getattr(compiler, "path", compiler), cuda)

    if not found:
        found = _check_compiler(find_cc_toolchain(ctx), version)
    archs = None
    if not found:
        archs, found = select_archs(
            ctx.attr.archs[BuildSettingInfo].value,
            TORCH_CUDA_ARCH_LIST,
            version,
            where,
            ctx.attr.bf16[BuildSettingInfo].value,
            cuda_archs,
        )
    if found:
        fail(format_problem(found))
    return CudaBuildInfo(archs = archs, version = version, where = where)

cuda_build = rule(
    implementation = _cuda_build_impl,
    doc = "Checks the CUDA toolkit, its host compiler and the selected architectures against each other.",
    attrs = {
        "archs": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The requested architectures, as text."),
        "bf16": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "Whether bfloat16 kernels are compiled."),
        "cuda": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The toolkit in use."),
        "installed": attr.label(providers = [InstalledToolkitInfo], doc = "The installed toolkit, if it is selected."),
        "registered_version": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The version of a registered toolkit."),
    },
    toolchains = use_cc_toolchain() + [config_common.toolchain_type(_CUDA_TOOLCHAIN_TYPE, mandatory = False)],
)

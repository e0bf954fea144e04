"""The nvcc toolchain."""

load(":providers.bzl", "CudaToolchainConfigInfo", "CudaToolkitInfo")

_TOOLS = ["bin2c", "fatbinary", "nvlink", "ptxas", "cicc"]

def _cuda_toolkit_info_impl(ctx):
    major, minor = ctx.attr.version.split(".")[:2]
    return CudaToolkitInfo(
        version_major = int(major),
        version_minor = int(minor),
        tools = [f for f in [getattr(ctx.file, tool) for tool in _TOOLS] if f],
    )

cuda_toolkit_info = rule(
    implementation = _cuda_toolkit_info_impl,
    doc = "Describes a CUDA toolkit.",
    attrs = {
        "path": attr.string(mandatory = True, doc = "Unused here: the folders of the tools make the PATH."),
        "version": attr.string(mandatory = True, doc = "Version of the toolkit, at least major.minor."),
        "link_stub": attr.label(allow_single_file = True, doc = "Unused here: only relocatable device code needs it."),
        "libdevice": attr.label(allow_single_file = True, doc = "Unused here: nvcc.profile finds it."),
    } | {
        tool: attr.label(allow_single_file = True, doc = "The {} executable.".format(tool))
        for tool in _TOOLS
    },
    provides = [CudaToolkitInfo],
)

def _cuda_toolchain_config_impl(ctx):
    return CudaToolchainConfigInfo(
        nvcc_version = (ctx.attr.nvcc_version_major, ctx.attr.nvcc_version_minor),
        toolkit = ctx.attr.cuda_toolkit[CudaToolkitInfo],
    )

cuda_toolchain_config_nvcc = rule(
    implementation = _cuda_toolchain_config_impl,
    doc = "Configuration of a toolchain whose compiler is nvcc.",
    attrs = {
        "cuda_toolkit": attr.label(mandatory = True, providers = [CudaToolkitInfo], doc = "The toolkit."),
        "toolchain_identifier": attr.string(mandatory = True, values = ["nvcc"], doc = "The kind of compiler."),
        "nvcc_version_major": attr.int(mandatory = True, doc = "13 of 13.0."),
        "nvcc_version_minor": attr.int(mandatory = True, doc = "0 of 13.0."),
    },
    provides = [CudaToolchainConfigInfo],
)

def _cuda_toolchain_impl(ctx):
    compiler = ctx.attr.compiler_label[DefaultInfo].files_to_run.executable
    return platform_common.ToolchainInfo(
        compiler_executable = compiler,
        all_files = depset([compiler], transitive = [f.files for f in ctx.attr.compiler_files]),
        config = ctx.attr.toolchain_config[CudaToolchainConfigInfo],
    )

cuda_toolchain = rule(
    implementation = _cuda_toolchain_impl,
    doc = "nvcc with its files, as a toolchain of the type //cuda:toolchain_type.",
    attrs = {
        "compiler_label": attr.label(mandatory = True, allow_single_file = True, executable = True, cfg = "exec", doc = "nvcc."),
        "compiler_files": attr.label_list(allow_files = True, cfg = "exec", doc = "What nvcc needs when it compiles."),
        "toolchain_config": attr.label(mandatory = True, providers = [CudaToolchainConfigInfo], doc = "How nvcc is called."),
    },
)

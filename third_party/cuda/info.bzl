"""Where the selected CUDA toolkit comes from."""

CudaSourceInfo = provider(
    doc = "Where the selected CUDA toolkit comes from, for messages.",
    fields = {
        "version": "(major, minor), or None if only the toolchain knows",
        "where": "in words",
    },
)

def _cuda_source_impl(ctx):
    version = None
    if ctx.attr.version:
        major, minor = ctx.attr.version.split(".")
        version = (int(major), int(minor))
    return CudaSourceInfo(version = version, where = ctx.attr.where)

cuda_source = rule(
    implementation = _cuda_source_impl,
    doc = "Says where a CUDA toolkit comes from.",
    attrs = {
        "version": attr.string(doc = "As major.minor; empty if only the toolchain knows."),
        "where": attr.string(mandatory = True, doc = "In words."),
    },
    provides = [CudaSourceInfo],
)

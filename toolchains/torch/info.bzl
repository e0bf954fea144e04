"""What the selected PyTorch is."""

TorchInfo = provider(
    doc = "What a PyTorch is.",
    fields = {
        "cuda": "str, the CUDA version it is built with, such as 13.0; empty for none",
        "python": "str, the Python it is for, such as 3.11; empty if that is not known",
        "version": "str, such as 2.11.0+cu130",
        "where": "str, where it comes from, in words",
    },
)

def _torch_info_impl(ctx):
    return TorchInfo(
        cuda = ctx.attr.cuda,
        python = ctx.attr.python,
        version = ctx.attr.version,
        where = ctx.attr.where,
    )

torch_info = rule(
    implementation = _torch_info_impl,
    doc = "Says what a PyTorch is.",
    attrs = {
        "cuda": attr.string(doc = "The CUDA version it is built with."),
        "python": attr.string(doc = "The Python it is for."),
        "version": attr.string(mandatory = True, doc = "Its version."),
        "where": attr.string(mandatory = True, doc = "Where it comes from, in words."),
    },
    provides = [TorchInfo],
)

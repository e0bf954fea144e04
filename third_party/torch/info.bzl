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

def torch_facts(version_py):
    """Reads what a PyTorch is out of its torch/version.py.

    Args:
      version_py: the file's content, with lines such as `cuda: Optional[str] = '13.0'`.

    Returns:
      A struct with `version` and `cuda`; cuda is "" for a build without it.
    """
    facts = {}
    for line in version_py.split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            facts[name.split(":")[0].strip()] = value.strip().strip("'\"")
    cuda = facts.get("cuda", "None")
    return struct(
        version = facts.get("__version__", "0.0"),
        cuda = "" if cuda == "None" else ".".join(cuda.split(".")[:2]),
    )

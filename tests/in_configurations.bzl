"""One target in several configurations."""

load("//bazel/wheel:variants.bzl", "by_pairing")

in_configurations = rule(
    implementation = lambda ctx: [DefaultInfo(files = depset(ctx.files.target))],
    doc = "What a target is made of for several PyTorches and Pythons, for queries.",
    attrs = {
        "pairings": attr.string_list(mandatory = True, doc = "PyTorch, Python and toolkit, such as `2.6.0/3.13/12.4`."),
        "target": attr.label(cfg = by_pairing, mandatory = True, doc = "The target."),
    },
)

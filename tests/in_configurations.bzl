"""One target in several configurations."""

load("//bazel/wheel:variants.bzl", "by_pairing")

def _in_configurations_impl(ctx):
    links = []
    for pairing, target in ctx.split_attr.target.items():
        for file in target[DefaultInfo].files.to_list():
            link = ctx.actions.declare_file("{}/{}/{}".format(ctx.label.name, pairing.replace("/", "_"), file.basename))
            ctx.actions.symlink(output = link, target_file = file)
            links.append(link)
    return [DefaultInfo(files = depset(links))]

in_configurations = rule(
    implementation = _in_configurations_impl,
    doc = "The files of a target for several PyTorches and Pythons, each in a folder of its own.",
    attrs = {
        "pairings": attr.string_list(mandatory = True, doc = "PyTorch, Python and toolkit, such as `2.6.0/3.13/12.4`."),
        "target": attr.label(cfg = by_pairing, mandatory = True, doc = "The target."),
    },
)

"""Wheels for several toolkits, PyTorches and Pythons in one folder, each built in its own configuration."""

load("//config:cuda_build.bzl", "CudaBuildInfo")
load(":variants.bzl", "by_pairing", "by_toolkit")

def _format_arch(arch):
    return arch.arch + ("+PTX" if arch.ptx else "")

def _wheels_impl(ctx):
    rows, folders = [], []
    for wheels, builds in [
        (ctx.split_attr.universal, ctx.split_attr._universal_build),
        (ctx.split_attr.pinned, ctx.split_attr._pinned_build),
    ]:
        for variant, wheel in (wheels or {}).items():
            [folder] = wheel[DefaultInfo].files.to_list()
            build = builds[variant][CudaBuildInfo]
            folders.append(folder)
            rows.append({
                "architectures": [_format_arch(arch) for arch in build.archs],
                "cuda": "{}.{}".format(*build.version),
                "folder": folder.path,
            })
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode_indent(rows))
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        executable = ctx.executable._gather_wheels,
        arguments = [description.path, out.path],
        inputs = [description] + folders,
        outputs = [out],
        mnemonic = "GatherWheels",
        progress_message = "Gathering {} wheels".format(len(rows)),
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]))]

wheels = rule(
    implementation = _wheels_impl,
    doc = "A folder of wheels with `manifest.json` and an index for pip, `index.html`.",
    attrs = {
        "pairings": attr.string_list(doc = "The PyTorch, Python and toolkit of each `pinned` wheel, such as `2.6.0/3.13/12.4`."),
        "pinned": attr.label(cfg = by_pairing, mandatory = True, doc = "The `extension_wheel` for one PyTorch and one Python."),
        "toolkits": attr.string_list(doc = "The toolkits that `universal` is built with, such as `12.4`."),
        "universal": attr.label(cfg = by_toolkit, mandatory = True, doc = "The `extension_wheel` for every PyTorch and every Python."),
        "_gather_wheels": attr.label(default = "//bazel/wheel:gather_wheels", executable = True, cfg = "exec"),
        "_pinned_build": attr.label(default = "//config:cuda_build", cfg = by_pairing),
        "_universal_build": attr.label(default = "//config:cuda_build", cfg = by_toolkit),
    },
)

"""Universal modules in the layout that Hugging Face's library `kernels` loads."""

load("//config:cuda_build.bzl", "CudaBuildInfo")
load("//third_party:versions.bzl", "UNIVERSAL_TORCH")
load(":variants.bzl", "by_toolkit")

# The library reads the kernel's name from metadata.json and imports this file under its `id`.
_INIT = """\
\"\"\"{summary}.\"\"\"

from . import {modules}
from .{first} import *
"""

def _identifier(text):
    return "".join([c if c.isalnum() else "_" for c in text.elems()])

def _hub_kernel_impl(ctx):
    outputs = []
    for toolkit, modules in ctx.split_attr.modules.items():
        build = ctx.split_attr._build[toolkit][CudaBuildInfo]
        cuda = "cu{}{}".format(*build.version)
        folder = "{}/build/torch-stable-abi{}-{}-{}-linux/".format(ctx.label.name, UNIVERSAL_TORCH.replace(".", ""), cuda, ctx.attr.cpu)
        init, metadata = ctx.actions.declare_file(folder + "__init__.py"), ctx.actions.declare_file(folder + "metadata.json")
        ctx.actions.write(init, _INIT.format(
            first = modules[0].label.name,
            modules = ", ".join([module.label.name for module in modules]),
            summary = ctx.attr.summary,
        ))
        ctx.actions.write(metadata, json.encode_indent({
            "backend": {
                "archs": ["{}.{}".format(arch.arch[:-1], arch.arch[-1]) for arch in build.archs if arch.arch.isdigit()],
                "type": "cuda",
            },
            "id": "_{}_{}_{}".format(_identifier(ctx.attr.distribution), _identifier(ctx.attr.version), cuda),
            "license": ctx.attr.license,
            "name": ctx.attr.distribution,
            "python-depends": [],
            "version": int(ctx.attr.version.split(".")[0]),
        }) + "\n")
        outputs += [init, metadata]
        for module in modules:
            [file] = module[DefaultInfo].files.to_list()
            copy = ctx.actions.declare_file(folder + file.basename)
            ctx.actions.run_shell(
                command = 'cp -f "$1" "$2"',
                arguments = [file.path, copy.path],
                inputs = [file],
                outputs = [copy],
                mnemonic = "HubKernel",
                progress_message = "Copying " + copy.short_path,
            )
            outputs.append(copy)
    return [DefaultInfo(files = depset(outputs), runfiles = ctx.runfiles(outputs))]

hub_kernel = rule(
    implementation = _hub_kernel_impl,
    doc = "The folder of a kernel, for `kernels.get_local_kernel()` or for an upload, with one variant per toolkit.",
    attrs = {
        "cpu": attr.string(mandatory = True, doc = "Processor, as in platform tags."),
        "distribution": attr.string(mandatory = True, doc = "Name of the kernel."),
        "license": attr.string(mandatory = True, doc = "Licence of the code, as SPDX names it."),
        "modules": attr.label_list(cfg = by_toolkit, mandatory = True, doc = "Universal `py_extension` targets; the first one's functions are the kernel's."),
        "summary": attr.string(mandatory = True, doc = "One line about the kernel."),
        "toolkits": attr.string_list(mandatory = True, doc = "The toolkits to build with, such as `12.4`."),
        "version": attr.string(mandatory = True, doc = "Version of the distribution; the kernel's is its first number."),
        "_build": attr.label(default = "//config:cuda_build", cfg = by_toolkit),
    },
)

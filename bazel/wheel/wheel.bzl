"""A wheel of extension modules, for the selected PyTorch and Python or for all.

rules_python's `py_wheel` does not fit, for two reasons. Debian's copy of those rules lacks the program that `py_wheel`
runs. The wheel's tag and version follow from what was built, so the name of the output is not known beforehand.
"""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//third_party:versions.bzl", "NEWEST_CUDA", "UNIVERSAL_TORCH")
load("//toolchains/python:by_python.bzl", "by_python")

def _one(files, suffix, where):
    """The only file whose path ends in `suffix`."""
    found = [f for f in files if f.path.endswith(suffix)]
    if len(found) != 1:
        fail("{} holds {} files {}, expected one".format(where, len(found), suffix))
    return found[0]

def _headers(target):
    return target[CcInfo].compilation_context.headers.to_list()

def _extension_wheel_impl(ctx):
    files = {}  # path in the wheel: file
    modules = []
    for module in ctx.attr.modules:
        library = _one(module[DefaultInfo].files.to_list(), ".so", module.label)
        name = library.basename.split(".")[0]
        modules.append(name)
        for f in module[DefaultInfo].default_runfiles.files.to_list():
            files["{}/{}".format(name, f.basename)] = f
    for f in ctx.files.package:
        files[f.short_path.removeprefix("../").partition(ctx.attr.package.label.package + "/")[2]] = f
    licenses = {"LICENSE": ctx.file.license}
    for f in ctx.files.toolkit_license:
        licenses["cuda/LICENSE"] = f
    torch_version, pybind11_header = None, None
    torch = ctx.attr.torch
    if torch:
        torch_files = torch[DefaultInfo].files.to_list()
        torch_version = _one(torch_files, "/torch/version.py", torch.label)
        for f in torch_files:
            if f.basename == "LICENSE" and ".dist-info/" in f.path and "/torch-" in f.path:
                licenses["torch/LICENSE"] = f
        pybind11_header = _one(_headers(torch), "/pybind11/detail/common.h", torch.label)
    module_init = ctx.file._torch_module_init if torch else ctx.file._module_init
    cuda_header = _one(_headers(ctx.attr.cuda_runtime), "/cuda_runtime_api.h", ctx.attr.cuda_runtime.label)

    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode_indent({
        "cpu": ctx.attr.cpu,
        "cuda_header": cuda_header.path,
        "distribution": ctx.attr.distribution,
        "extras": ctx.attr.extras,
        "files": {target: f.path for target, f in files.items()},
        "license_files": {target: f.path for target, f in licenses.items()},
        "module_init": module_init.path,
        "modules": modules,
        "newest_cuda": NEWEST_CUDA,
        "oldest_torch": UNIVERSAL_TORCH,
        "pybind11_header": pybind11_header.path if torch else "",
        "python_tag": ctx.attr.python_tag,
        "readme": ctx.file.readme.path,
        "requires_python": ctx.attr.requires_python,
        "summary": ctx.attr.summary,
        "toolkit_lock": ctx.file.toolkit_lock.path if ctx.file.toolkit_lock else "",
        "torch_version": torch_version.path if torch else "",
        "version": ctx.attr.version,
    }))
    folder = ctx.actions.declare_directory(ctx.label.name)
    inputs = [description, cuda_header, ctx.file.readme, module_init]
    inputs += [f for f in [torch_version, pybind11_header, ctx.file.toolkit_lock] if f]
    ctx.actions.run(
        executable = ctx.executable._make_wheel,
        arguments = [description.path, folder.path],
        inputs = inputs + files.values() + licenses.values(),
        outputs = [folder],
        mnemonic = "ExtensionWheel",
        progress_message = "Packing the wheel of " + ctx.attr.distribution,
    )
    return [DefaultInfo(files = depset([folder]), runfiles = ctx.runfiles([folder]))]

_extension_wheel = rule(
    implementation = _extension_wheel_impl,
    doc = "A folder with one wheel.",
    attrs = {
        "cpu": attr.string(mandatory = True, doc = "Processor, as in platform tags."),
        "cuda_runtime": attr.label(mandatory = True, providers = [CcInfo], doc = "The CUDA runtime that the modules are built with."),
        "distribution": attr.string(mandatory = True, doc = "Name under which pip knows the wheel."),
        "extras": attr.string_list_dict(doc = "The requirements of each extra."),
        "license": attr.label(mandatory = True, allow_single_file = True, doc = "The licence of the code itself."),
        "modules": attr.label_list(mandatory = True, doc = "`py_extension` targets."),
        "package": attr.label(mandatory = True, doc = "A `python_package`: plain Python beside the modules."),
        "python_tag": attr.string(mandatory = True, doc = "Interpreter tag, such as cp311."),
        "readme": attr.label(mandatory = True, allow_single_file = True, doc = "The wheel's long description."),
        "requires_python": attr.string(mandatory = True, doc = "The oldest Python."),
        "summary": attr.string(mandatory = True, doc = "One line about the wheel."),
        "toolkit_license": attr.label(mandatory = True, doc = "The CUDA toolkit's licence, if there is one."),
        "toolkit_lock": attr.label(allow_single_file = True, doc = "The parts of the toolkit, for the bill of materials."),
        "torch": attr.label(providers = [CcInfo], doc = "The PyTorch that the modules are for: a `torch_cc` or `torch_wheel`, or none for universal modules."),
        "version": attr.string(mandatory = True, doc = "Version without a local part."),
        "_make_wheel": attr.label(default = "//bazel/wheel:make_wheel", executable = True, cfg = "exec"),
        "_module_init": attr.label(default = "//bazel/wheel:module_init.py.in", allow_single_file = True),
        "_torch_module_init": attr.label(default = "//bazel/wheel:torch_module_init.py.in", allow_single_file = True),
    },
)

def extension_wheel(name, **kwargs):
    """Builds the folder `name` with one wheel. The name of the wheel follows from its content.

    Args:
      name: name of the target and of the folder.
      **kwargs: attributes of `_extension_wheel`, except `cpu` and `python_tag`, which follow from the settings.
    """
    _extension_wheel(
        name = name,
        cpu = select({
            "@platforms//cpu:aarch64": "aarch64",
            "//conditions:default": "x86_64",
        }),
        python_tag = by_python("{tag}"),
        **kwargs
    )

"""PyTorch as one target that extension modules are compiled against. The target also states its versions.

`--//config:torch_cc` names such a target. A workspace that includes this one declares its own with `torch_wheel`.
"""

load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

TorchInfo = provider(
    doc = "Facts about a PyTorch.",
    fields = {
        "cuda": "str, the CUDA version it is built with, such as 13.0; empty for none",
        "python": "str, the Python it is for, such as 3.11; empty if unknown",
        "version": "str, such as 2.11.0+cu130",
        "where": "str, its origin as text for messages",
    },
)

def _torch_info_impl(ctx):
    return TorchInfo(cuda = ctx.attr.cuda, python = ctx.attr.python, version = ctx.attr.version, where = ctx.attr.where)

torch_info = rule(
    implementation = _torch_info_impl,
    doc = "States facts about a PyTorch. It needs no toolchain, so the choice of toolchains can depend on it.",
    attrs = {
        "cuda": attr.string(doc = "The CUDA version it is built with."),
        "python": attr.string(doc = "The Python it is for."),
        "version": attr.string(mandatory = True, doc = "Its version."),
        "where": attr.string(mandatory = True, doc = "Its origin as text for messages."),
    },
    provides = [TorchInfo],
)

def _torch_cc_impl(ctx):
    return [
        ctx.attr.cc[CcInfo],
        ctx.attr.info[TorchInfo],
        DefaultInfo(files = depset(ctx.files.about)),
    ]

torch_cc = rule(
    implementation = _torch_cc_impl,
    doc = "PyTorch in its own repository. The repository rule writes the BUILD file.",
    attrs = {
        "about": attr.label_list(mandatory = True, allow_files = True, doc = "torch/version.py and a licence, if any."),
        "cc": attr.label(mandatory = True, providers = [CcInfo], doc = "Headers and libraries with libtorch_python."),
        "info": attr.label(mandatory = True, providers = [TorchInfo], doc = "Its `torch_info`."),
    },
    provides = [CcInfo, TorchInfo],
)

_LIBRARIES = ["libc10.so", "libc10_cuda.so", "libtorch.so", "libtorch_cpu.so", "libtorch_python.so"]

def _torch_wheel_impl(ctx):
    wheel = ctx.attr.wheel[DefaultInfo]
    files = depset(transitive = [wheel.files, wheel.default_runfiles.files]).to_list()
    version_py = [f for f in files if f.path.endswith("/torch/version.py")]
    if len(version_py) != 1:
        fail("{} holds {} files torch/version.py, expected one".format(ctx.attr.wheel.label, len(version_py)))
    torch = version_py[0].dirname
    headers = [f for f in files if f.path.startswith(torch + "/include/")]
    libraries = [f for f in files if f.dirname == torch + "/lib" and f.basename in _LIBRARIES]
    if not headers or len(libraries) != len(_LIBRARIES):
        fail("{} lacks PyTorch's headers or one of the libraries {}".format(ctx.attr.wheel.label, " ".join(_LIBRARIES)))
    compilation = cc_common.create_compilation_context(
        defines = depset(["_GLIBCXX_USE_CXX11_ABI={}".format(int(ctx.attr.cxx11_abi))]),
        headers = depset(headers),
        system_includes = depset([torch + "/include", torch + "/include/torch/csrc/api/include"]),
    )

    # The libraries are linked as plain files. Bazel then neither ships them nor adds run paths. At run time the
    # program's own torch has loaded them.
    linking = cc_common.create_linking_context(linker_inputs = depset([cc_common.create_linker_input(
        additional_inputs = depset(libraries),
        owner = ctx.label,
        user_link_flags = [f.path for f in libraries],
    )]))
    return [
        CcInfo(compilation_context = compilation, linking_context = linking),
        TorchInfo(cuda = ctx.attr.cuda, python = "", version = ctx.attr.version, where = str(ctx.attr.wheel.label)),
        DefaultInfo(files = depset(version_py + [f for f in files if f.basename == "LICENSE" and "/torch-" in f.dirname])),
    ]

torch_wheel = rule(
    implementation = _torch_wheel_impl,
    doc = "PyTorch from an unpacked wheel that another rule fetched, such as rules_python's `@pypi//torch`.",
    attrs = {
        "cuda": attr.string(mandatory = True, doc = "The CUDA version it is built with, such as 13.0."),
        "cxx11_abi": attr.bool(default = True, doc = "Whether it has C++11 strings. PyTorch's own wheels have, from 2.7 on."),
        "version": attr.string(mandatory = True, doc = "Its version, such as 2.11.0+cu130."),
        "wheel": attr.label(mandatory = True, doc = "A target whose files and runfiles include the whole wheel, headers too."),
    },
    provides = [CcInfo, TorchInfo],
)

"""Python extension modules from C++ and CUDA libraries.

The macro has the interface of rules_python's experimental `py_extension`. Older versions (Debian's) lack that rule.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_python//python:py_info.bzl", "PyInfo")
load("//toolchains/python:by_python.bzl", "by_python")
load(":copts.bzl", "CXX_COPTS")

# Exceptions find their handlers through the table .eh_frame_hdr. Some linkers (gold 2.35 with CUDA 13's static runtime)
# leave it empty. Python then ends at the first wrong argument. An empty table has 8 bytes. A toolchain without objdump
# is not checked.
_CHECK_AND_COPY = """
if sections=$("$1" -h "$2" 2>/dev/null); then
  size=0
  while read -r _ name bytes _; do
    if [ "$name" = .eh_frame_hdr ]; then size=$((0x$bytes)); fi
  done <<<"$sections"
  if [ $size -le 8 ]; then
    echo "the linker made a module that cannot throw exceptions" >&2
    echo "  found:    no unwind table in $2 (.eh_frame_hdr of $size bytes)" >&2
    echo "  expected: one entry for each function" >&2
    echo "  cure:     leave out --config=host_gcc, or link with another linker: --linkopt=-fuse-ld=bfd --features=-supports_start_end_lib" >&2
    exit 1
  fi
fi
cp -f "$2" "$3"
"""

def _py_extension_impl(ctx):
    # CPython looks for the first name, then for the second, and loads no module of another version. The module is a
    # copy: a link would point to the library of the Python version that was built last.
    suffix = "{}-{}-linux-gnu".format(ctx.attr.python_tag, ctx.attr.cpu) if ctx.attr.python_tag else "abi3"
    module = ctx.actions.declare_file("{}.{}.so".format(ctx.attr.module_name, suffix))
    cc_toolchain = find_cc_toolchain(ctx)
    ctx.actions.run_shell(
        command = _CHECK_AND_COPY,
        arguments = [cc_toolchain.objdump_executable, ctx.file.library.path, module.path],
        inputs = depset([ctx.file.library], transitive = [cc_toolchain.all_files]),
        outputs = [module],
        mnemonic = "PyExtensionName",
        progress_message = "Naming " + module.short_path,
    )
    package = ctx.label.package
    stubs = []
    for stub in ctx.files.stubs:
        if stub.owner.package != package:  # type checkers look for stubs beside the module
            link = ctx.actions.declare_file(stub.basename)
            ctx.actions.symlink(output = link, target_file = stub)
            stub = link
        stubs.append(stub)
    workspace = ctx.label.repo_name or ctx.workspace_name
    return [
        # In bzlmod the main repository's name is empty. In runfiles its folder is ctx.workspace_name.
        DefaultInfo(
            files = depset([module]),
            runfiles = ctx.runfiles([module] + stubs),
        ),
        PyInfo(
            imports = depset(["/".join([workspace, package])]),
            transitive_sources = depset([]),
        ),
    ]

_py_extension = rule(
    implementation = _py_extension_impl,
    doc = "A shared library as a Python extension module. Checks that it can throw, and names it as Python expects.",
    attrs = {
        "cpu": attr.string(mandatory = True, doc = "Processor, as in the module's file name."),
        "library": attr.label(mandatory = True, allow_single_file = True, doc = "The shared library."),
        "module_name": attr.string(mandatory = True, doc = "Name under which Python imports the module."),
        "python_tag": attr.string(doc = "Interpreter tag, such as cpython-311; empty for CPython's limited API."),
        "stubs": attr.label_list(allow_files = [".pyi"], doc = "Type stubs."),
    },
    toolchains = use_cc_toolchain(),
)

# An installed module is beside torch in site-packages, or in a folder there.
_TORCH_RUN_PATH = ["-Wl,-rpath,'$$ORIGIN/torch/lib:$$ORIGIN/../torch/lib'"]

def py_extension(name, srcs = [], copts = [], deps = [], stubs = [], limited_api = False, visibility = None, **kwargs):
    """Builds an extension module that Python imports as `name`.

    The module exports only `PyInit_<name>`. Two modules in one process therefore cannot use each other's symbols.

    Args:
      name: target and module name.
      srcs: C++ sources with the module's definition. The macro MODULE_NAME is `name` in them.
      copts: compiler options for these sources.
      deps: C++ and CUDA libraries.
      stubs: .pyi files.
      limited_api: whether the code uses only CPython's limited API and links to no library of PyTorch. The file is then
        `<name>.abi3.so`, for every Python.
      visibility: of the module.
      **kwargs: attributes of cc_binary, such as linkopts.
    """
    native.genrule(
        name = name + "_exports",
        outs = [name + ".lds"],
        cmd = "echo '{ global: PyInit_%s; local: *; };' > $@" % name,
        visibility = ["//visibility:private"],
    )
    cc_binary(
        name = name + "_library.so",
        srcs = srcs,
        copts = CXX_COPTS + ["-fvisibility=hidden", "-DMODULE_NAME=" + name] + copts,
        additional_linker_inputs = [":" + name + ".lds"],
        linkopts = [
            "-Wl,--version-script=$(location :{}.lds)".format(name),
            "-Wl,--strip-all",
            "-Wl,--gc-sections",
        ] + ([] if limited_api else _TORCH_RUN_PATH),
        linkshared = True,
        visibility = ["//visibility:private"],
        deps = deps,
        **kwargs
    )
    _py_extension(
        name = name,
        cpu = select({
            "@platforms//cpu:aarch64": "aarch64",
            "//conditions:default": "x86_64",
        }),
        library = name + "_library.so",
        module_name = name,
        python_tag = "" if limited_api else by_python("cpython-{nodot}"),
        stubs = stubs,
        visibility = visibility,
    )

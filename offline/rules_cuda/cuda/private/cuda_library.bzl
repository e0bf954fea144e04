"""cuda_library: compiles CUDA sources into a static library for C++ rules."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain", "use_cpp_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load(":archs.bzl", "gencodes")
load(":providers.bzl", "CudaArchsInfo", "CudaInfo")

_HEADERS = [".cuh", ".h", ".hpp", ".hh", ".inl", ".inc"]
_SOURCES = [".cc", ".cpp", ".cu"]

# By compilation mode, for nvcc: the same as rules_cuda's nvcc toolchain gives.
_MODE_FLAGS = {
    "dbg": ["-O0", "-g"],
    "fastbuild": ["-O0", "-Xcompiler", "-g1"],
    "opt": [
        "-Xcompiler",
        "-g0",
        "-O2",
        "-DNDEBUG",
        "-Xcompiler",
        "-ffunction-sections",
        "-Xcompiler",
        "-fdata-sections",
    ],
}

# What the rules decide themselves: architectures, relocatable device code, and what nvcc makes.
_RESERVED_PREFIXES = (
    "-arch",
    "-code",
    "-gencode",
    "-rdc",
    "--generate-code",
    "--gpu-architecture",
    "--gpu-code",
    "--relocatable-device-code",
)
_RESERVED = [
    "-E",
    "-M",
    "-MM",
    "-c",
    "-cubin",
    "-cuda",
    "-dlink",
    "-fatbin",
    "-lib",
    "-ptx",
    "-run",
    "--compile",
    "--cubin",
    "--cuda",
    "--device-link",
    "--fatbin",
    "--generate-dependencies",
    "--generate-nonsystem-dependencies",
    "--lib",
    "--preprocess",
    "--ptx",
    "--run",
]

def _has_suffix(file, suffixes):
    return any([file.basename.endswith(s) for s in suffixes])

def _host_flags(cc_toolchain, features):
    """What the C++ toolchain gives every compilation, less what nvcc sets itself."""
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = cc_toolchain,
        user_compile_flags = [],
    )
    flags = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = CPP_COMPILE_ACTION_NAME,
        variables = variables,
    )
    return [f for f in flags if f != "-c" and not f.startswith("-std=")]

def _own_includes(ctx):
    """The folders of `includes`, in the source tree and among what is generated."""
    workspace_root = ctx.label.workspace_root
    folders = []
    for include in ctx.attr.includes:
        folder = "/".join([part for part in [workspace_root, ctx.label.package, include] if part not in ["", "."]]) or "."
        folders += [folder, ctx.bin_dir.path + "/" + folder]
    return folders

def _path_variable(ctx, toolchain, host_compiler):
    """PATH of a compilation: the host compiler's folder, the toolkit's, then the default shell's, without repetition."""
    folders = [host_compiler.rpartition("/")[0]]
    folders += [tool.dirname for tool in toolchain.config.toolkit.tools]
    folders += ctx.configuration.default_shell_env.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join({f: True for f in folders if f}.keys())

def _compile(ctx, cc_toolchain, features, cc_info):
    toolchain = ctx.toolchains["//cuda:toolchain_type"]
    host_compiler = cc_common.get_tool_for_action(feature_configuration = features, action_name = CPP_COMPILE_ACTION_NAME)
    context = cc_info.compilation_context
    archs = gencodes(";".join(ctx.attr.archs)) if ctx.attr.archs else ctx.attr._default_cuda_archs[CudaArchsInfo].gencodes
    workspace_root = ctx.label.workspace_root or "."
    host_options = ctx.attr._default_host_copts[BuildSettingInfo].value + ctx.attr.host_copts + _host_flags(cc_toolchain, features)

    common = ctx.actions.args()
    common.add_all(["-x", "cu"])
    common.add_all(archs, before_each = "-gencode")
    common.add_all(["-ccbin", host_compiler])
    common.add_all(["-Xcompiler", "-fPIC"])
    quote_includes = [workspace_root, ctx.bin_dir.path + ("" if workspace_root == "." else "/" + workspace_root)]
    common.add_all(quote_includes, before_each = "-I")
    common.add_all(context.quote_includes, before_each = "-I")
    common.add_all(context.includes, before_each = "-I")
    common.add_all(_own_includes(ctx), before_each = "-isystem")
    common.add_all(context.system_includes, before_each = "-isystem")
    common.add_all(_MODE_FLAGS[ctx.var["COMPILATION_MODE"]])
    if toolchain.config.nvcc_version >= (11, 7) and ctx.var["COMPILATION_MODE"] == "opt":
        common.add_all(["--dopt", "on"])
    for dep in ctx.attr.deps:
        if CudaInfo in dep:
            common.add_all(dep[CudaInfo].defines, format_each = "-D%s")
    common.add_all(ctx.attr.defines + ctx.attr.local_defines + ctx.attr.host_defines + ctx.attr.host_local_defines, format_each = "-D%s")
    common.add_all(context.defines, format_each = "-D%s")
    common.add_all(ctx.attr._default_cuda_copts[BuildSettingInfo].value + ctx.attr.copts)
    common.add_all(host_options, before_each = "-Xcompiler")
    common.add_all(ctx.attr.ptxasopts, before_each = "-Xptxas")
    common.add_all(["--expt-relaxed-constexpr", "--extended-lambda"])

    headers = [f for f in ctx.files.hdrs + ctx.files.srcs if _has_suffix(f, _HEADERS)]
    objects = []
    for src in [f for f in ctx.files.srcs if _has_suffix(f, _SOURCES)]:
        stem = src.basename.rpartition(".")[0]
        obj = ctx.actions.declare_file("_objs/{}/{}.pic.o".format(ctx.label.name, stem))
        specific = ctx.actions.args()
        if toolchain.config.nvcc_version >= (12, 9):
            # Names of internal symbols come from this seed instead of from the source's real path.
            specific.add("--frandom-seed=" + obj.path)
        specific.add_all(["-c", src, "-o", obj])
        ctx.actions.run(
            executable = toolchain.compiler_executable,
            arguments = [common, specific],
            inputs = depset([src] + headers, transitive = [context.headers, cc_toolchain.all_files, toolchain.all_files]),
            outputs = [obj],
            env = {"PATH": _path_variable(ctx, toolchain, host_compiler)},
            mnemonic = "CudaCompile",
            progress_message = "Compiling " + src.short_path,
            toolchain = Label("//cuda:toolchain_type"),
        )
        objects.append(obj)
    return objects

def _cuda_library_impl(ctx):
    for f in ctx.files.srcs:
        if not _has_suffix(f, _SOURCES + _HEADERS):
            fail("in srcs attribute of cuda_library rule {}: source file '{}' is misplaced here".format(ctx.label, f.short_path))
    for opt in [o.strip() for o in ctx.attr.copts + ctx.attr.ptxasopts]:
        if opt in _RESERVED or opt.startswith(_RESERVED_PREFIXES):
            fail(opt, "is not allowed to be specified directly via copts of rules_cuda related rules")

    cc_toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    deps = [dep[CcInfo] for dep in ctx.attr.deps + ctx.attr._builtin_deps]
    merged = cc_common.merge_cc_infos(cc_infos = deps)

    linking_context, linking_outputs = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = cc_toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            pic_objects = depset(_compile(ctx, cc_toolchain, features, merged)),
        ),
        user_link_flags = ctx.attr.host_linkopts,
        alwayslink = ctx.attr.alwayslink,
        linking_contexts = [merged.linking_context],
        disallow_dynamic_library = True,
    )
    library = linking_outputs.library_to_link
    archives = [a for a in [library.static_library, library.pic_static_library] if a] if library else []

    own = cc_common.create_compilation_context(
        headers = depset([f for f in ctx.files.hdrs + ctx.files.srcs if _has_suffix(f, _HEADERS)]),
        system_includes = depset(_own_includes(ctx)),
        quote_includes = depset([ctx.label.workspace_root or "."]),
        defines = depset(ctx.attr.host_defines),
    )
    return [
        DefaultInfo(files = depset(archives)),
        cc_common.merge_cc_infos(
            direct_cc_infos = [CcInfo(compilation_context = own, linking_context = linking_context)],
            cc_infos = deps,
        ),
        CudaInfo(defines = depset(ctx.attr.defines, transitive = [d[CudaInfo].defines for d in ctx.attr.deps if CudaInfo in d])),
    ]

cuda_library = rule(
    implementation = _cuda_library_impl,
    doc = "Compiles CUDA sources with nvcc into a static library that C++ rules can link.",
    attrs = {
        "srcs": attr.label_list(allow_files = _SOURCES + _HEADERS, doc = "Sources and private headers."),
        "hdrs": attr.label_list(allow_files = _HEADERS, doc = "Public headers."),
        "deps": attr.label_list(providers = [[CcInfo]], doc = "C++ and CUDA libraries."),
        "alwayslink": attr.bool(doc = "Link every object, referenced or not."),
        "includes": attr.string_list(doc = "Include folders, relative to the package, for this target and its dependants."),
        "archs": attr.string_list(doc = "Architectures of this target alone; //cuda:archs where empty."),
        "copts": attr.string_list(doc = "Options for nvcc."),
        "defines": attr.string_list(doc = "Defines for nvcc, here and in dependants."),
        "local_defines": attr.string_list(doc = "Defines for nvcc, here alone."),
        "host_copts": attr.string_list(doc = "Options that nvcc hands to the host compiler."),
        "host_defines": attr.string_list(doc = "Defines here and in dependants, C++ ones included."),
        "host_local_defines": attr.string_list(doc = "Defines here alone."),
        "host_linkopts": attr.string_list(doc = "Options for linking what depends on this."),
        "ptxasopts": attr.string_list(doc = "Options for ptxas."),
        "_builtin_deps": attr.label_list(default = ["//cuda:runtime"]),
        "_default_cuda_archs": attr.label(default = "//cuda:archs"),
        "_default_cuda_copts": attr.label(default = "//cuda:copts"),
        "_default_host_copts": attr.label(default = "//cuda:host_copts"),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = use_cpp_toolchain() + ["//cuda:toolchain_type"],
    provides = [CcInfo, CudaInfo],
)

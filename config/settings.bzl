"""Build settings of the workspace, and what BUILD files derive from them."""

load("@awq_environment//:environment.bzl", "HOST_COMPILER", "TORCH_CUDA_ARCH_LIST")
load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//bazel/lib:arch_list.bzl", "format_archs")
load(
    "//bazel/lib:checks.bzl",
    "check_choice",
    "check_host_compiler",
    "check_pairing",
    "check_python",
    "check_toolchain",
    "check_toolkit",
    "check_torch",
    "check_torch_python",
    "select_archs",
)
load("//bazel/lib:cuda_versions.bzl", "KNOWN_ARCHS", "NVCC_THREADS", "arch_number", "host_compiler_range", "nvcc_flags", "supported_archs")
load("//bazel/lib:problems.bzl", "format_problem")
load("//third_party:versions.bzl", "OFFERS")
load("//toolchains/cc/gcc:config.bzl", "GCC_IDENTIFIER")
load("//toolchains/cuda:info.bzl", "CudaSourceInfo")
load("//toolchains/torch:info.bzl", "TorchInfo")

CudaBuildInfo = provider(
    doc = "The CUDA toolkit that is used and what is built with it.",
    fields = {
        "archs": "list of structs with `arch` (such as \"90a\") and `ptx` (bool), oldest first",
        "version": "(major, minor) of the toolkit",
        "where": "where the toolkit comes from, in words",
    },
)

# Of //config:compiler.
COMPILERS = ["gcc10", "local"]

def _choice_setting_impl(ctx):
    found = check_choice(ctx.label.name, ctx.build_setting_value, ctx.attr.values)
    if found:
        fail(format_problem(found))
    return BuildSettingInfo(value = ctx.build_setting_value)

choice_setting = rule(
    implementation = _choice_setting_impl,
    doc = "A setting with one of several values.",
    build_setting = config.string(flag = True),
    attrs = {"values": attr.string_list(mandatory = True, doc = "What it can be.")},
)

def _text_setting_impl(ctx):
    return BuildSettingInfo(value = ctx.build_setting_value)

text_setting = rule(
    implementation = _text_setting_impl,
    doc = "A setting with any text.",
    build_setting = config.string(flag = True),
)

_PY_CC_TOOLCHAIN_TYPE = "@rules_python//python/cc:toolchain_type"

def _python_in_use_impl(ctx):
    # Of a version such as 3.11.9 the ABI is 3.11's.
    version = ".".join(ctx.toolchains[_PY_CC_TOOLCHAIN_TYPE].py_cc_toolchain.python_version.split(".")[:2])
    found = check_python(version, OFFERS)
    if found:
        fail(format_problem(found))
    return [BuildSettingInfo(value = version), config_common.FeatureFlagInfo(value = version)]

python_in_use = rule(
    implementation = _python_in_use_impl,
    doc = "The version of the Python that toolchain resolution selects, whoever registered it; for config_setting.",
    toolchains = [_PY_CC_TOOLCHAIN_TYPE],
)

_CUDA_TOOLCHAIN_TYPE = "@rules_cuda//cuda:toolchain_type"

def _check_compiler(toolchain, cuda):
    """Whether nvcc accepts the C++ compiler. A toolchain of the user's own is the user's care."""
    if toolchain.toolchain_id.startswith(GCC_IDENTIFIER):
        return check_host_compiler("gcc", toolchain.toolchain_id.removeprefix(GCC_IDENTIFIER), None, cuda)
    if toolchain.toolchain_id == "local" and HOST_COMPILER:  # Bazel's own detection
        return check_host_compiler(HOST_COMPILER["kind"], HOST_COMPILER["version"], HOST_COMPILER["path"], cuda)
    return None

def _cuda_build_impl(ctx):
    source = ctx.attr.source[CudaSourceInfo]
    version, where = source.version, source.where
    found = check_toolkit(version, where, OFFERS)
    toolchain = ctx.toolchains[_CUDA_TOOLCHAIN_TYPE]
    if not found and toolchain:
        # A File with the subset of rules_cuda, a path with the real ones.
        compiler = toolchain.compiler_executable
        found = check_toolchain(getattr(compiler, "path", compiler), ctx.attr.cuda[BuildSettingInfo].value)

    if not found:
        found = _check_compiler(find_cc_toolchain(ctx), version)
    archs = None
    if not found:
        archs, found = select_archs(
            ctx.attr.archs[BuildSettingInfo].value,
            TORCH_CUDA_ARCH_LIST,
            version,
            where,
            ctx.attr.bf16[BuildSettingInfo].value,
        )
    if found:
        fail(format_problem(found))
    return CudaBuildInfo(archs = archs, version = version, where = where)

cuda_build = rule(
    implementation = _cuda_build_impl,
    doc = "Checks the CUDA toolkit, its host compiler and the selected architectures against each other.",
    attrs = {
        "archs": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The wanted architectures, as text."),
        "bf16": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "Whether bfloat16 kernels are compiled."),
        "cuda": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "Which toolkit is asked for."),
        "source": attr.label(mandatory = True, providers = [CudaSourceInfo], doc = "Where the selected toolkit comes from."),
    },
    toolchains = use_cc_toolchain() + [config_common.toolchain_type(_CUDA_TOOLCHAIN_TYPE, mandatory = False)],
)

def _torch_check_impl(ctx):
    build = ctx.attr.build[CudaBuildInfo]
    torch = ctx.attr.torch[TorchInfo]
    found = check_torch(torch.version, torch.cuda, torch.where, OFFERS)
    found = found or check_torch_python(torch.python, ctx.attr.python[BuildSettingInfo].value, torch.where)
    if not found:
        found, warning = check_pairing(
            build.version,
            build.where,
            torch.version,
            torch.cuda,
            torch.where,
            ctx.attr.allow_minor_mismatch[BuildSettingInfo].value,
            OFFERS,
        )
        if warning:
            # buildifier: disable=print
            print("Warning: " + format_problem(warning))
    if found:
        fail(format_problem(found))
    return CcInfo()

torch_check = rule(
    implementation = _torch_check_impl,
    doc = "Checks that PyTorch fits the CUDA toolkit and the selected Python. A dependency of whatever includes PyTorch.",
    attrs = {
        "allow_minor_mismatch": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "Whether minor versions of CUDA may differ."),
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The toolkit."),
        "python": attr.label(mandatory = True, providers = [BuildSettingInfo], doc = "The selected Python."),
        "torch": attr.label(mandatory = True, providers = [TorchInfo], doc = "The selected PyTorch."),
    },
    provides = [CcInfo],
)

def _arch_wanted_impl(ctx):
    build = ctx.attr.build[CudaBuildInfo]
    wanted = [a for a in build.archs if a.arch in ctx.attr.any_of and (a.ptx or not ctx.attr.ptx)]
    possible = not ctx.attr.toolkit_has or ctx.attr.toolkit_has in supported_archs(build.version)
    return config_common.FeatureFlagInfo(value = "yes" if wanted and possible else "no")

_arch_wanted = rule(
    implementation = _arch_wanted_impl,
    doc = "Whether an architecture is among those that are built, for config_setting.",
    attrs = {
        "any_of": attr.string_list(mandatory = True, doc = "Such as 90a."),
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "What is built."),
        "ptx": attr.bool(doc = "Whether its PTX is asked about."),
        "toolkit_has": attr.string(doc = "An architecture that the toolkit has to have besides."),
    },
)

def arch_config_settings(name, build):
    """Declares the config_settings `sm_NN` and `ptx_NN` of every known architecture.

    Args:
      name: prefix of the helper targets.
      build: label of the `cuda_build`.
    """
    for arch in KNOWN_ARCHS:
        for kind in ["sm", "ptx"]:
            helper = "{}_{}_{}".format(name, kind, arch)
            _arch_wanted(
                name = helper,
                any_of = [arch],
                build = build,
                ptx = kind == "ptx",
                visibility = ["//visibility:private"],
            )
            native.config_setting(
                name = "{}_{}".format(kind, arch),
                flag_values = {":" + helper: "yes"},
                visibility = ["//:__subpackages__"],
            )

def hopper_config_setting(name, build):
    """Declares the config_setting of a build that has Hopper code: 90 or 90a is selected and the toolkit knows 90a.

    Instructions such as wgmma exist for 90a only. Libraries that use them accompany the code for 90.

    Args:
      name: name of the config_setting.
      build: label of the `cuda_build`.
    """
    _arch_wanted(
        name = name + "_wanted",
        any_of = ["90", "90a"],
        build = build,
        toolkit_has = "90a",
        visibility = ["//visibility:private"],
    )
    native.config_setting(
        name = name,
        flag_values = {":" + name + "_wanted": "yes"},
        visibility = ["//:__subpackages__"],
    )

def selected_archs():
    """The selected architectures for `cuda_library.archs`.

    Returns:
      A select() that is a list of rules_cuda architecture specs.
    """
    specs = []
    for arch in KNOWN_ARCHS:
        specs = specs + select({
            Label("//config:sm_" + arch): ["compute_{0}:sm_{0}".format(arch)],
            "//conditions:default": [],
        }) + select({
            Label("//config:ptx_" + arch): ["compute_{0}:compute_{0}".format(arch)],
            "//conditions:default": [],
        })
    return specs

def _nvcc_threads_impl(ctx):
    flags = nvcc_flags(ctx.attr.build[CudaBuildInfo].version)
    return config_common.FeatureFlagInfo(value = "yes" if NVCC_THREADS[0] in flags else "no")

_nvcc_threads = rule(
    implementation = _nvcc_threads_impl,
    doc = "Whether the toolkit's nvcc compiles for several architectures at a time, for config_setting.",
    attrs = {"build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The toolkit.")},
)

def nvcc_threads_config_setting(name, build):
    """Declares the config_setting of a toolkit whose nvcc takes NVCC_THREADS.

    Args:
      name: name of the config_setting.
      build: label of the `cuda_build`.
    """
    _nvcc_threads(
        name = name + "_wanted",
        build = build,
        visibility = ["//visibility:private"],
    )
    native.config_setting(
        name = name,
        flag_values = {":" + name + "_wanted": "yes"},
        visibility = ["//:__subpackages__"],
    )

def _arch_list_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, format_archs(ctx.attr.build[CudaBuildInfo].archs) + "\n")
    return DefaultInfo(files = depset([out]))

arch_list_file = rule(
    implementation = _arch_list_file_impl,
    doc = "Writes the selected architectures to a file, such as \"80;90+PTX\".",
    attrs = {"build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "What is built.")},
)

def _cuda_table_row_impl(ctx):
    version = ctx.attr.build[CudaBuildInfo].version
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, json.encode({
        "archs": supported_archs(version),
        "clang": host_compiler_range("clang", version),
        "gcc": host_compiler_range("gcc", version),
        "known_archs": KNOWN_ARCHS,
        "version": version,
    }) + "\n")
    return DefaultInfo(files = depset([out]))

cuda_table_row = rule(
    implementation = _cuda_table_row_impl,
    doc = "Writes what the table of CUDA versions says about the selected toolkit, for the test that compares the two.",
    attrs = {"build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The toolkit.")},
)

def _built_archs_header_impl(ctx):
    archs = ctx.attr.build[CudaBuildInfo].archs
    rows = ["    {{{}, {}, {}}},".format(arch_number(a.arch), str(not a.arch.isdigit()).lower(), str(a.ptx).lower()) for a in archs]
    ctx.actions.write(ctx.outputs.out, "\n".join([
        "// Generated from --//config:cuda_archs.",
        "#pragma once",
        "",
        "struct BuiltArch {",
        "  int arch;       // 90 of sm_90 and sm_90a",
        "  bool specific;  // code for exactly this architecture (90a)",
        "  bool ptx;       // PTX besides machine code",
        "};",
        "",
        "inline constexpr BuiltArch kBuiltArchs[] = {",
    ] + rows + [
        "};",
        "inline constexpr const char* kBuiltArchList = \"{}\";".format(format_archs(archs)),
        "",
    ]))
    return DefaultInfo(files = depset([ctx.outputs.out]))

built_archs_header = rule(
    implementation = _built_archs_header_impl,
    doc = "Writes the selected architectures as a C++ header, for messages at run time.",
    attrs = {
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "What is built."),
        "out": attr.output(mandatory = True, doc = "The header."),
    },
)

"""Build settings of the workspace, and what BUILD files derive from them."""

load("@awq_cuda_toolkit//:toolkit.bzl", "CUDA_VERSION")
load("@awq_environment//:environment.bzl", "TORCH_CUDA_ARCH_LIST")
load(":arch_list.bzl", "check_archs", "format_archs", "parse_arch_list")
load(":cuda_versions.bzl", "KNOWN_ARCHS", "arch_number", "default_archs", "parse_version", "supported_archs")

ArchListInfo = provider(
    doc = "The GPU architectures that are built.",
    fields = {"archs": "list of structs with `arch` (str) and `ptx` (bool), oldest first"},
)

def _arch_list_setting_impl(ctx):
    version = parse_version(CUDA_VERSION)
    text, source = ctx.build_setting_value, "--" + str(ctx.label).lstrip("@")
    if not text:
        text, source = TORCH_CUDA_ARCH_LIST, "TORCH_CUDA_ARCH_LIST"
    if not text:
        return ArchListInfo(archs = default_archs(version))
    archs, error = parse_arch_list(text)
    error = error or check_archs(archs, version)
    if error:
        fail("\n\n{}={}: {}\n".format(source, text, error))
    return ArchListInfo(archs = archs)

arch_list_setting = rule(
    implementation = _arch_list_setting_impl,
    doc = "The GPU architectures to build; empty means TORCH_CUDA_ARCH_LIST of the environment or else the default.",
    build_setting = config.string(flag = True),
)

def _arch_wanted_impl(ctx):
    archs = ctx.attr.archs[ArchListInfo].archs
    wanted = [a for a in archs if a.arch in ctx.attr.any_of and (a.ptx or not ctx.attr.ptx)]
    possible = not ctx.attr.toolkit_has or ctx.attr.toolkit_has in supported_archs(parse_version(CUDA_VERSION))
    return config_common.FeatureFlagInfo(value = "yes" if wanted and possible else "no")

_arch_wanted = rule(
    implementation = _arch_wanted_impl,
    doc = "Whether an architecture is among those that are built, for config_setting.",
    attrs = {
        "any_of": attr.string_list(mandatory = True, doc = "Such as 90a."),
        "archs": attr.label(mandatory = True, providers = [ArchListInfo], doc = "The list."),
        "ptx": attr.bool(doc = "Whether its PTX is asked about."),
        "toolkit_has": attr.string(doc = "An architecture that the toolkit has to have besides."),
    },
)

def arch_config_settings(name, archs):
    """Declares the config_settings `sm_NN` and `ptx_NN` of every known architecture.

    Args:
      name: prefix of the helper targets.
      archs: label of the `arch_list_setting`.
    """
    for arch in KNOWN_ARCHS:
        for kind in ["sm", "ptx"]:
            helper = "{}_{}_{}".format(name, kind, arch)
            _arch_wanted(
                name = helper,
                any_of = [arch],
                archs = archs,
                ptx = kind == "ptx",
                visibility = ["//visibility:private"],
            )
            native.config_setting(
                name = "{}_{}".format(kind, arch),
                flag_values = {":" + helper: "yes"},
                visibility = ["//visibility:public"],
            )

def hopper_config_setting(name, archs):
    """Declares the config_setting of a build that has Hopper code: 90 or 90a is selected and the toolkit knows 90a.

    Instructions such as wgmma exist for 90a only. Libraries that use them accompany the code for 90.

    Args:
      name: name of the config_setting.
      archs: label of the `arch_list_setting`.
    """
    _arch_wanted(
        name = name + "_wanted",
        any_of = ["90", "90a"],
        archs = archs,
        toolkit_has = "90a",
        visibility = ["//visibility:private"],
    )
    native.config_setting(
        name = name,
        flag_values = {":" + name + "_wanted": "yes"},
        visibility = ["//visibility:public"],
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

def _arch_list_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, format_archs(ctx.attr.archs[ArchListInfo].archs) + "\n")
    return DefaultInfo(files = depset([out]))

arch_list_file = rule(
    implementation = _arch_list_file_impl,
    doc = "Writes the selected architectures to a file, such as \"80;90+PTX\".",
    attrs = {"archs": attr.label(default = "//config:cuda_archs", providers = [ArchListInfo], doc = "The list.")},
)

def _built_archs_header_impl(ctx):
    archs = ctx.attr.archs[ArchListInfo].archs
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
        "archs": attr.label(default = "//config:cuda_archs", providers = [ArchListInfo], doc = "The list."),
        "out": attr.output(mandatory = True, doc = "The header."),
    },
)

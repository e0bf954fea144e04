"""The built architectures as a C++ header."""

load("//bazel/lib:arch_list.bzl", "format_archs")
load("//bazel/lib:cuda_versions.bzl", "arch_number")
load(":cuda_build.bzl", "CudaBuildInfo")

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
        "build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The `cuda_build`."),
        "out": attr.output(mandatory = True, doc = "The header."),
    },
)

"""The toolkit and the built architectures as a file, for tests."""

load("//bazel/lib:arch_list.bzl", "format_archs")
load("//bazel/lib:cuda_versions.bzl", "KNOWN_ARCHS", "host_compiler_range", "supported_archs")
load(":cuda_build.bzl", "CudaBuildInfo")

def _cuda_build_json_impl(ctx):
    build = ctx.attr.build[CudaBuildInfo]
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(out, json.encode({
        "archs": format_archs(build.archs),
        "clang": host_compiler_range("clang", build.version),
        "gcc": host_compiler_range("gcc", build.version),
        "known_archs": KNOWN_ARCHS,
        "supported_archs": supported_archs(build.version),
        "version": build.version,
    }) + "\n")
    return DefaultInfo(files = depset([out]))

cuda_build_json = rule(
    implementation = _cuda_build_json_impl,
    doc = "Writes the selected architectures (such as \"80;90+PTX\") and the facts in the table of CUDA versions.",
    attrs = {"build": attr.label(mandatory = True, providers = [CudaBuildInfo], doc = "The `cuda_build`.")},
)

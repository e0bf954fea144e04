"""The distribution's GCC for another processor, as a C++ toolchain.

Without the compiler everything can still be analysed; compiling then says what to install.
"""

load("//bazel/lib:checks.bzl", "no_cross_compiler")
load("//bazel/lib:compilers.bzl", "cross_gcc_name")
load("//bazel/lib:problems.bzl", "format_problem")

_TOOLS = ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objcopy", "objdump", "strip"]

# Bazel's configuration wants paths for these too, which GCC does not have.
_UNUSED_TOOLS = ["dwp", "llvm-cov", "llvm-profdata"]

_BUILD = """\
load("@bazel_tools//tools/cpp:unix_cc_toolchain_config.bzl", "cc_toolchain_config")
load("@rules_cc//cc:defs.bzl", "cc_toolchain")

filegroup(
    name = "wrappers",
    srcs = glob(["bin/*"]),
)

cc_toolchain_config(
    name = "config",
    abi_libc_version = "local",
    abi_version = "local",
    compiler = "gcc",
    compile_flags = ["-fstack-protector", "-Wall", "-fno-omit-frame-pointer"],
    cpu = "{cpu}",
    cxx_builtin_include_directories = {include},
    cxx_flags = ["-std=c++17"],
    host_system_name = "local",
    link_flags = ["-Wl,-no-as-needed", "-Wl,-z,relro,-z,now"],
    link_libs = ["-lstdc++", "-lm"],
    opt_compile_flags = ["-g0", "-O2", "-D_FORTIFY_SOURCE=1", "-DNDEBUG", "-ffunction-sections", "-fdata-sections"],
    opt_link_flags = ["-Wl,--gc-sections"],
    supports_start_end_lib = False,
    target_libc = "local",
    target_system_name = "{triple}",
    tool_paths = {tools},
    toolchain_identifier = "{triple}",
    unfiltered_compile_flags = [
        "-fno-canonical-system-headers",
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\\"redacted\\"",
        "-D__TIMESTAMP__=\\"redacted\\"",
        "-D__TIME__=\\"redacted\\"",
    ],
)

cc_toolchain(
    name = "toolchain",
    all_files = ":wrappers",
    ar_files = ":wrappers",
    as_files = ":wrappers",
    compiler_files = ":wrappers",
    dwp_files = ":wrappers",
    linker_files = ":wrappers",
    objcopy_files = ":wrappers",
    strip_files = ":wrappers",
    supports_param_files = True,
    toolchain_config = ":config",
    toolchain_identifier = "{triple}",
    visibility = ["//visibility:public"],
)
"""

_MISSING = """\
#!/bin/sh
cat >&2 <<'END'
{message}
END
exit 1
"""

def _include_folders(rctx, gcc):
    """The folders of GCC's own and the system's headers, as it lists them."""
    output = rctx.execute([gcc, "-E", "-xc++", "-", "-v"]).stderr
    lines = output.partition("#include <...> search starts here:")[2].partition("End of search list.")[0]
    return [str(rctx.path(line.strip())) for line in lines.split("\n") if line.strip()]

def _cross_gcc_repo_impl(rctx):
    name = cross_gcc_name(rctx.attr.cpu)
    triple = name.removesuffix("-gcc")
    gcc = rctx.which(name)
    include = []
    tools = {tool: "bin/missing" for tool in _TOOLS + _UNUSED_TOOLS}
    rctx.file("bin/missing", _MISSING.format(message = format_problem(no_cross_compiler(rctx.attr.cpu, name))))
    if gcc:
        include = _include_folders(rctx, gcc)
        for tool in _TOOLS:
            tools[tool] = str(rctx.which("{}-{}".format(triple, tool)) or "bin/missing")
    rctx.file("BUILD.bazel", _BUILD.format(
        cpu = rctx.attr.cpu,
        include = repr(include),
        tools = repr(tools),
        triple = triple,
    ), executable = False)

cross_gcc_repo = repository_rule(
    implementation = _cross_gcc_repo_impl,
    doc = "A C++ toolchain from the GCC for another processor that is on PATH.",
    attrs = {"cpu": attr.string(mandatory = True, values = ["aarch64"], doc = "The processor to compile for.")},
    environ = ["PATH"],
    configure = True,
    local = True,
)

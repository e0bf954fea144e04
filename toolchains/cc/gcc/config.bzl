"""The configuration of the GCC that gcc.bzl unpacks: flags and programs, as Bazel needs them."""

load("@rules_cc//cc:action_names.bzl", "ACTION_NAMES")
load(
    "@rules_cc//cc:cc_toolchain_config_lib.bzl",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
    "with_feature_set",
)
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")

# The toolchain's identifier is this prefix and the compiler's version.
GCC_IDENTIFIER = "awq_gcc_"

_COMPILE = [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.linkstamp_compile,
    ACTION_NAMES.preprocess_assemble,
]

_CPP = [
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.linkstamp_compile,
]

_LINK = [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

def _flags(actions, flags, mode = None):
    """Flags of actions, in one compilation mode or in all modes."""
    return flag_set(
        actions = actions,
        flag_groups = [flag_group(flags = flags)],
        with_features = [with_feature_set(features = [mode])] if mode else [],
    )

# The flags that Bazel sets for a gcc that it detects, without those that depend on the machine.
_FLAGS = [
    _flags(_COMPILE, ["-fstack-protector", "-Wall", "-Wunused-but-set-parameter", "-Wno-free-nonheap-object", "-fno-omit-frame-pointer"]),
    _flags(_COMPILE, ["-g"], mode = "dbg"),
    _flags(_COMPILE, ["-g0", "-O2", "-D_FORTIFY_SOURCE=1", "-DNDEBUG", "-ffunction-sections", "-fdata-sections"], mode = "opt"),
    _flags(_CPP, ["-std=c++17"]),
    _flags(_LINK, ["-Wl,-no-as-needed", "-Wl,-z,relro,-z,now", "-pass-exit-codes"]),
    _flags(_LINK, ["-Wl,--gc-sections"], mode = "opt"),
]

# Flags after the user's flags. They keep the time and the folder of the build out of the results.
_LAST_FLAGS = [
    _flags(_COMPILE, [
        "-fno-canonical-system-headers",
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\"redacted\"",
        "-D__TIMESTAMP__=\"redacted\"",
        "-D__TIME__=\"redacted\"",
    ]),
]

# Libraries that come last on the link line. A library is linked only if it resolves open symbols.
_LIBRARIES = [
    _flags(_LINK, ["-Wl,--push-state,-as-needed", "-lstdc++", "-lm", "-Wl,--pop-state"]),
]

_USER_FLAGS = [flag_set(
    actions = _COMPILE,
    flag_groups = [flag_group(
        expand_if_available = "user_compile_flags",
        flags = ["%{user_compile_flags}"],
        iterate_over = "user_compile_flags",
    )],
)]

def _gcc_config_impl(ctx):
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "glibc",
        abi_version = "gcc",
        compiler = "gcc",
        features = [
            feature(name = "dbg"),
            feature(name = "opt"),
            feature(name = "supports_dynamic_linker", enabled = True),
            feature(name = "supports_pic", enabled = True),
            feature(name = "default_flags", enabled = True, flag_sets = _FLAGS),
            feature(name = "user_compile_flags", enabled = True, flag_sets = _USER_FLAGS),
            feature(name = "last_flags", enabled = True, flag_sets = _LAST_FLAGS),
            feature(name = "default_libraries", enabled = True, flag_sets = _LIBRARIES),
        ],
        host_system_name = "local",
        target_cpu = ctx.attr.cpu,
        target_libc = "glibc",
        target_system_name = ctx.attr.cpu + "-linux-gnu",
        tool_paths = [tool_path(name = name, path = path) for name, path in ctx.attr.tools.items()],
        toolchain_identifier = GCC_IDENTIFIER + ctx.attr.version,
    )

gcc_config = rule(
    implementation = _gcc_config_impl,
    doc = "Flags and programs of GCC. The starter of GCC passes the folders of headers and libraries.",
    attrs = {
        "cpu": attr.string(mandatory = True, doc = "The processor that code is compiled for."),
        "tools": attr.string_dict(mandatory = True, doc = "Paths of programs, by Bazel's names for them."),
        "version": attr.string(mandatory = True, doc = "Version of GCC, such as 10.2.1."),
    },
    provides = [CcToolchainConfigInfo],
)

"""GCC 10, binutils and glibc 2.31 as a C++ toolchain, from Debian's packages. No compiler of the machine is used.

The repository has two Debian file trees and starters. A starter is a shell script that runs a program.

  tools/   compiler, assembler, linker, and the C library and other libraries that these run with
  target/  headers and libraries that code is compiled and linked with: glibc, libgcc, libstdc++
  bin/     starters of the programs that Bazel and nvcc call
  parts/   starters of the programs that g++ calls

A starter runs its program with the dynamic loader in tools/. The programs therefore need no particular C library of the
machine, and also run with an older one. The starter of g++ also passes the options by which GCC finds everything below
this folder, wherever the folder is. nvcc therefore needs only the path of the starter.
"""

load("//third_party/deb:deb.bzl", "unpack_debs")

_BINUTILS = ["ar", "nm", "objcopy", "objdump", "strip"]

# Bazel requires paths for these programs too. The packages with them would double the download.
_ABSENT = ["dwp", "gcov", "llvm-cov", "llvm-profdata"]

# A starter uses only the shell of the machine. Paths stay relative.
_STARTER = """\
#!/bin/sh
root=${{0%/{at}}}
exec "$root/tools/lib/{host}/ld-2.31.so" --inhibit-cache --library-path "$root/tools/lib/{host}:$root/tools/usr/lib/{host}" \\
  "$root/tools/usr/{program}" {options}"$@"
"""

# Include folders in the order of g++. Without these options, Debian's g++ would make the folders absolute, and
# dependency files must not have absolute paths.
_INCLUDE = [
    "usr/include/c++/{major}",
    "usr/include/{triple}/c++/{major}",
    "usr/include/c++/{major}/backward",
    "usr/lib/gcc/{triple}/{major}/include",
    "usr/include/{triple}",
    "usr/include",
]

_OPTIONS = [
    "--sysroot=\"$root/target\"",
    "-B\"$root/parts/\"",
    "-B\"$root/target/usr/lib/gcc/{triple}/{major}/\"",
    "-no-canonical-prefixes",
    "-nostdinc",
    "-nostdinc++",
    "-fno-use-linker-plugin",
] + ["-idirafter \"$root/target/{}\"".format(folder) for folder in _INCLUDE]

_BUILD = """\
load("@rules_cc//cc/toolchains:cc_toolchain.bzl", "cc_toolchain")
load("{config}", "gcc_config")

package(default_visibility = ["//visibility:private"])

filegroup(
    name = "programs",
    srcs = glob([
        "bin/*",
        "parts/*",
        "tools/**/*.so*",
        "tools/usr/bin/{triple}-*",
    ]),
)

filegroup(
    name = "compile",
    srcs = [":programs"] + glob(
        [
            "target/usr/include/**",
            "target/usr/lib/gcc/{triple}/{major}/include/**",
            "tools/usr/lib/gcc*/{triple}/{major}/cc1plus",
        ],
        # Of the kernel's interfaces, those to devices.
        exclude = [
            "target/usr/include/{{}}/**".format(folder)
            for folder in ["drm", "misc", "mtd", "rdma", "scsi", "sound", "video", "xen"]
        ],
    ),
)

filegroup(
    name = "link",
    srcs = [":programs"] + glob(
        [
            "target/lib/**",
            "target/lib64/**",
            "target/usr/lib/**",
        ],
        allow_empty = True,  # only some processors have lib64
        exclude = ["target/usr/lib/gcc/**/include/**"],
    ),
)

filegroup(
    name = "all_files",
    srcs = [
        ":compile",
        ":link",
    ],
)

gcc_config(
    name = "config",
    cpu = "{cpu}",
    tools = {tools},
    version = "{version}",
)

cc_toolchain(
    name = "cc_toolchain",
    all_files = ":all_files",
    ar_files = ":programs",
    as_files = ":compile",
    compiler_files = ":compile",
    dwp_files = ":programs",
    linker_files = ":link",
    objcopy_files = ":programs",
    strip_files = ":programs",
    supports_param_files = True,
    toolchain_config = ":config",
    visibility = ["//visibility:public"],
)
"""

def _starter(rctx, at, program, options = ""):
    rctx.file(at, _STARTER.format(
        at = at,
        host = rctx.attr.exec_cpu + "-linux-gnu",
        options = options,
        program = program,
    ))

def _absent(rctx, at):
    rctx.file(at, "#!/bin/sh\necho \"${0##*/} is not part of this toolchain; --config=host_gcc has the machine's\" >&2\nexit 1\n")

def _make_linker_scripts_relative(rctx, triple):
    """Removes the folders of libraries from linker scripts. ld then looks for the libraries in its search path.

    ld looks for an absolute path of a script below the sysroot only if the script itself is below the sysroot, with all
    links resolved. In a sandbox of links it is not.
    """
    for file in rctx.path("target/usr/lib/" + triple).readdir():
        if file.basename in ["libc.so", "libm.so", "libm.a"]:
            text = rctx.read(file)
            if not text.startswith("/* GNU ld script"):
                continue
            for folder in ["/usr/lib/{}/".format(triple), "/lib/{}/".format(triple), "/lib64/", "/lib/"]:
                text = text.replace(" " + folder, " ")
            rctx.delete(file)
            rctx.file(file, text, executable = False)

def _gcc_repo_impl(rctx):
    triple = rctx.attr.cpu + "-linux-gnu"
    version = rctx.attr.version
    major = version.partition(".")[0]
    for package in unpack_debs(rctx, rctx.attr.lock):
        if package.package.startswith("g++-") and not package.version.startswith(version + "-"):
            fail("{} locks {} {}, and the compiler's version is said to be {}".format(rctx.attr.lock, package.package, package.version, version))
    for tree in ["tools", "target"]:
        rctx.delete(tree + "/usr/share")
    _make_linker_scripts_relative(rctx, triple)

    # A cross compiler has a separate folder; -B points to its parts too. ld replaces collect2. collect2 would do more
    # for link-time optimization and for constructors without linker support.
    own = "lib/{}/{}/{}".format("gcc" if rctx.attr.cpu == rctx.attr.exec_cpu else "gcc-cross", triple, major)
    _starter(rctx, "parts/as", "bin/{}-as".format(triple))
    _starter(rctx, "parts/cc1plus", own + "/cc1plus")
    for name in ["collect2", "ld"]:
        _starter(rctx, "parts/" + name, "bin/{}-ld.bfd".format(triple))
    options = " ".join(_OPTIONS).format(major = major, triple = triple)
    _starter(rctx, "bin/g++", "bin/{}-g++-{}".format(triple, major), options + " ")
    for name in _BINUTILS:
        _starter(rctx, "bin/" + name, "bin/{}-{}".format(triple, name))
    for name in _ABSENT:
        _absent(rctx, "bin/" + name)
    tools = {name: "bin/" + name for name in _BINUTILS + _ABSENT} | {"cpp": "bin/g++", "gcc": "bin/g++", "ld": "parts/ld"}
    rctx.file("BUILD.bazel", _BUILD.format(
        config = Label(":config.bzl"),
        cpu = rctx.attr.cpu,
        major = major,
        tools = repr(tools),
        triple = triple,
        version = version,
    ), executable = False)

gcc_repo = repository_rule(
    implementation = _gcc_repo_impl,
    doc = "The C++ toolchain `cc_toolchain`.",
    attrs = {
        "cpu": attr.string(mandatory = True, values = ["x86_64", "aarch64"], doc = "The processor of the compiled code."),
        "exec_cpu": attr.string(mandatory = True, values = ["x86_64", "aarch64"], doc = "The processor that the compiler runs on."),
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "The packages, for the folders tools and target."),
        "version": attr.string(mandatory = True, doc = "Version of GCC, such as 10.2.1."),
    },
)

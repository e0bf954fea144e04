"""The identity of the machine's C++ compiler. The file changes if the compiler, its headers or its libraries change.

Bazel identifies the machine's compiler by path alone. An upgrade of gcc under the same path would not change the key of
any action. A cache, above all a shared one, would then still return objects of the old compiler. This file prevents it.
"""

load("//bazel/lib:problems.bzl", "format_problem", "problem")
load("//bazel/lib:unavailable.bzl", "unavailable_targets")

# Compiler wrappers that write their own cache, which an action may not do.
_WRAPPERS = ["ccache", "distcc", "icecc", "sccache"]

_BUILD = """\
filegroup(
    name = "identity",
    srcs = ["host_compiler.txt"],
    visibility = ["//visibility:public"],
)
"""

# Prints one line per fact. No line names a folder, so the same system gives the same file everywhere. The script fails
# if a fact is missing. Only ld.gold may be missing. clang has no cc1plus and no collect2.
_IDENTITY = """
set -eu
compiler=$1
fail() { echo "$*" >&2; exit 1; }
sum() { sha256sum <"$2" >/dev/null && echo "$1 $(sha256sum <"$2" | cut -d' ' -f1)"; }
program() {
  path=$("$compiler" -print-prog-name="$1")
  path=$(command -v "$path") && sum "$1" "$path"
}

about=$("$compiler" --version | head -1)
echo "$about"
sum compiler "$(readlink -f "$compiler")"
needed="as ld"
case $about in *clang*) ;; *) needed="cc1plus collect2 $needed" ;; esac
for name in $needed; do program $name || fail "it has no $name"; done
program ld.gold || true
for name in crt1.o crti.o crtbeginS.o libc.so.6 libc_nonshared.a libm.so.6 libgcc.a libgcc_s.so.1 libstdc++.so; do
  path=$("$compiler" -print-file-name=$name)
  [ -f "$path" ] || fail "it has no $name"
  sum $name "$path"
done
# All headers of the C++ library and what they include of the C library's, by content.
headers=$(for header in bits/stdc++.h dlfcn.h pthread.h sys/mman.h unistd.h; do echo "#include <$header>"; done |
  "$compiler" -x c++ -std=c++17 -E -) || fail "it cannot preprocess the headers of the C++ library"
echo "headers $(printf '%s\\n' "$headers" | sha256sum | cut -d' ' -f1)"
"""

def _watch(rctx, paths):
    """Makes Bazel run the repository rule again if a file changes or appears."""
    for path in paths:
        if path.startswith("/"):
            rctx.watch(path)

def _program(rctx, compiler, name):
    """The path of a part of the compiler, or the path where it would be."""
    path = rctx.execute([compiler, "-print-prog-name=" + name]).stdout.strip()
    if path.startswith("/"):
        return path
    beside = rctx.execute([compiler, "-print-prog-name=collect2"]).stdout.strip().rpartition("/")[0]
    return str(rctx.which(path) or "{}/{}".format(beside, name))

def _host_compiler_repo_impl(rctx):
    name = rctx.os.environ.get("CC") or "gcc"
    compiler = rctx.path(name) if name.startswith("/") else rctx.which(name)
    identity = ""
    found = None
    if not compiler or not compiler.exists:
        folders = [""] if name.startswith("/") else [f + "/" for f in rctx.os.environ.get("PATH", "").split(":")]
        _watch(rctx, [folder + name for folder in folders])
        found = "CC={}, which is not there".format(name) if rctx.os.environ.get("CC") else "no gcc on PATH, and CC is not set"
    elif compiler.realpath.basename in _WRAPPERS:
        found = "{} is {}, which hands on to another compiler and writes to folders of its own".format(compiler, compiler.realpath)
    else:
        path = rctx.os.environ.get("PATH", "")
        result = rctx.execute(["env", "-i", "LC_ALL=C", "PATH=" + path, "sh", "-c", _IDENTITY, "sh", compiler])
        if result.return_code != 0:
            found = "{}: {}".format(compiler, result.stderr.strip())
        identity = result.stdout
        _watch(rctx, [_program(rctx, compiler, name) for name in ["cc1plus", "as", "ld", "ld.gold"]])
    rctx.file("host_compiler.txt", identity, executable = False)
    rctx.file("BUILD.bazel", unavailable_targets(["identity"], format_problem(problem(
        title = "the machine has no C++ compiler that can be used",
        found = found,
        expected = "gcc or clang with all that compiling and linking C++ takes",
        cure = "install one (Debian, Ubuntu: apt-get install g++), name it (--repo_env=CC=/usr/bin/gcc), or leave out --config=host_gcc",
    ))) if found else _BUILD, executable = False)

host_compiler_repo = repository_rule(
    implementation = _host_compiler_repo_impl,
    doc = "The target `identity`, the file host_compiler.txt. It fails if facts are missing. Bazel runs the rule again whenever its server starts or the compiler's programs change.",
    environ = ["CC", "PATH"],
    configure = True,
    local = True,
)

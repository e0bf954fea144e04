"""What the machine's C++ compiler is, as a file that changes when the compiler, its headers or its libraries do.

Bazel finds the compiler on the machine and names it by path alone. Without this file an upgrade of gcc under the same path
would leave every action's key as it was, and a cache, above all a shared one, would go on serving the old compiler's objects.
"""

# Prints one line per fact; no line names a folder, so that the same system gives the same file anywhere.
_IDENTITY = """
compiler=$1
file_sum() { if [ -f "$2" ]; then echo "$1 $(sha256sum <"$2" | cut -d' ' -f1)"; fi; }
program() {
  path=$("$compiler" -print-prog-name="$1")
  path=$(command -v "$path") && file_sum "$1" "$path"
}

"$compiler" --version | head -1
file_sum compiler "$(readlink -f "$compiler")"
for name in cc1plus collect2 as ld ld.gold; do program $name; done
for name in crt1.o crti.o crtbeginS.o libc.so.6 libc_nonshared.a libm.so.6 libgcc.a libgcc_s.so.1 libstdc++.so; do
  file_sum $name "$("$compiler" -print-file-name=$name)"
done
# All headers of the C++ library and what they include of the C library's, by content.
for header in bits/stdc++.h dlfcn.h pthread.h sys/mman.h unistd.h; do echo "#include <$header>"; done |
  "$compiler" -x c++ -std=c++17 -E - | sha256sum | sed 's/-/headers/'
"""

def _host_compiler_repo_impl(rctx):
    name = rctx.os.environ.get("CC") or "gcc"
    compiler = rctx.path(name) if name.startswith("/") else rctx.which(name)
    identity = "no compiler\n"  # Bazel itself says so where one is needed
    if compiler:
        path = rctx.os.environ.get("PATH", "")
        result = rctx.execute(["env", "-i", "LC_ALL=C", "PATH=" + path, "sh", "-c", _IDENTITY, "sh", compiler])
        if result.return_code != 0:
            fail("cannot find out what {} is: {}".format(compiler, result.stderr))
        identity = result.stdout
        for program in ["cc1plus", "as", "ld", "ld.gold"]:
            found = rctx.execute([compiler, "-print-prog-name=" + program]).stdout.strip()
            found = rctx.path(found) if found.startswith("/") else rctx.which(found)
            if found and found.exists:
                rctx.watch(found)
    rctx.file("host_compiler.txt", identity, executable = False)
    rctx.file("BUILD.bazel", "exports_files([\"host_compiler.txt\"])\n", executable = False)

host_compiler_repo = repository_rule(
    implementation = _host_compiler_repo_impl,
    doc = "The file `host_compiler.txt`. Read anew whenever Bazel's server starts or the compiler's programs change.",
    environ = ["CC", "PATH"],
    configure = True,
    local = True,
)

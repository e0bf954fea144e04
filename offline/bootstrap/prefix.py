"""Turns unpacked Debian packages into a Bazel that runs from the folder where it lies.

Debian's files expect to lie in /usr: programs name their loader and search libraries there, links and the class path
are absolute. Each step below moves one of these into the prefix; no step touches anything outside of it.
"""

import concurrent.futures
import os
import shlex
import shutil
import subprocess

import classpath
import console
import trust_store
from console import SetupError

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = _LIBRARIES + "/ld-linux-x86-64.so.2"
_JAVA = "usr/lib/jvm/java-25-openjdk-amd64"
_INSTALL_BASE = "usr/share/bazel"
_CLASS_PATH = _INSTALL_BASE + "/bazel_classpath_debian_depends.txt"

# Files and folders whose programs are started on their own; libraries are found through the program that loads them.
_PROGRAMS = (
    "usr/bin/bazel",
    "usr/libexec/x86_64-linux-gnu/bazel",
    _JAVA + "/bin",
    _JAVA + "/lib/jspawnhelper",
    _JAVA + "/lib/jexec",
)

_USELESS = tuple("usr/share/" + name for name in ("bug", "doc", "lintian", "locale", "man")) + ("var",)

_OTHER_WAY = "put bazelisk or a Bazel on PATH instead, and report this"


def build(prefix, debs, version):
    """Unpacks the .deb files into the empty folder prefix, makes them run there, and tries the result."""
    _unpack(prefix, debs)
    relocate_links(prefix)
    _relocate_programs(prefix)
    version_jar = os.path.join(prefix, "version.jar")
    classpath.write_version_jar(version_jar, version)
    classpath.relocate(os.path.join(prefix, _CLASS_PATH), prefix, version_jar)
    _install_trust_store(os.path.join(prefix, _JAVA, "lib/security/cacerts"))
    _write(prefix, "bazel", start_script(prefix))
    os.chmod(os.path.join(prefix, "bazel"), 0o755)
    _try(prefix, version)


def relocate_links(prefix):
    """Points absolute links at their targets inside the prefix, where these exist."""
    for parent, folders, files in os.walk(prefix):
        for name in folders + files:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                continue
            target = os.readlink(path)
            if target.startswith("/") and os.path.lexists(prefix + target):
                os.unlink(path)
                os.symlink(prefix + target, path)


def start_script(prefix):
    """Returns the script that starts the Bazel in prefix as a standard one."""
    startup_options = [
        # Debian's Bazel carries no archive of its tools to unpack; they lie in this folder.
        "--trust_install_base",
        f"--install_base={prefix}/{_INSTALL_BASE}",
        f"--server_javabase={prefix}/{_JAVA}",
        f"--host_jvm_args=-Djava.library.path={prefix}/{_LIBRARIES}/jni",
    ]
    command = " \\\n  ".join(map(shlex.quote, [f"{prefix}/usr/bin/bazel", *startup_options]))
    return f'#!/bin/sh\nexec {command} \\\n  "$@"\n'


def _unpack(prefix, debs):
    # Most of the time goes into decompression; packages share folders but no files.
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for _ in pool.map(lambda deb: _run(["dpkg-deb", "-x", deb, prefix]), debs):
            pass
    for path in _USELESS:
        shutil.rmtree(os.path.join(prefix, path), ignore_errors=True)
    missing = [path for path in (_LOADER, _CLASS_PATH, _JAVA + "/bin/java", *_PROGRAMS) if not _exists(prefix, path)]
    if missing:
        raise SetupError(f"Debian's packages are laid out in a new way, {', '.join(missing)} missing: {_OTHER_WAY}")


def _relocate_programs(prefix):
    # A forced run path (DT_RPATH) also serves the libraries that a program's libraries need; DT_RUNPATH would not.
    run_path = ":".join(f"{prefix}/{folder}" for folder in (_LIBRARIES, _JAVA + "/lib", _JAVA + "/lib/server"))
    loader = os.path.join(prefix, _LOADER)
    # Until patchelf itself is relocated it runs through the prefix's loader.
    patchelf = [loader, "--library-path", os.path.join(prefix, _LIBRARIES), os.path.join(prefix, "usr/bin/patchelf")]
    for program in _dynamic_programs(prefix):
        _run([*patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", run_path, program])


def _dynamic_programs(prefix):
    for path in _PROGRAMS:
        path = os.path.join(prefix, path)
        names = [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]
        yield from (name for name in names if not os.path.islink(name) and has_interpreter(name))


def has_interpreter(path):
    """Returns whether a file is a 64-bit ELF program that names a dynamic loader (a PT_INTERP header)."""
    with open(path, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return False
        table_offset = int.from_bytes(header[32:40], "little")
        entry_bytes = int.from_bytes(header[54:56], "little")
        entry_count = int.from_bytes(header[56:58], "little")
        file.seek(table_offset)
        table = file.read(entry_bytes * entry_count)
    pt_interp = (3).to_bytes(4, "little")
    return any(table[start : start + 4] == pt_interp for start in range(0, len(table), entry_bytes))


def _install_trust_store(path):
    certificates = trust_store.certificates_file(os.environ)
    if os.path.lexists(path):
        os.unlink(path)  # a link to /etc, which the machine need not have
    if certificates is None:
        console.say("note: no certificates found, so Bazel itself cannot download over https; install ca-certificates")
        return
    with open(certificates, encoding="latin-1") as file:
        store = trust_store.java_key_store(file.read())
    with open(path, "wb") as file:
        file.write(store)


def _try(prefix, version):
    _run([os.path.join(prefix, _JAVA, "bin/java"), "-version"])
    answer = _run([os.path.join(prefix, "bazel"), "--version"])
    if f"bazel {version}" not in answer.splitlines():
        raise SetupError(f"the new Bazel answers '{answer.strip()}', not 'bazel {version}': {_OTHER_WAY}")


def _run(command):
    """Runs a command and returns its output."""
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if result.returncode != 0:
        raise SetupError(f"{shlex.join(command)} failed with status {result.returncode}:\n{result.stdout.strip()}")
    return result.stdout


def _exists(prefix, path):
    return os.path.exists(os.path.join(prefix, path))


def _write(prefix, name, text):
    with open(os.path.join(prefix, name), "w", encoding="utf-8") as file:
        file.write(text)

"""Sets up a private Bazel from Debian's packages. bazelw calls this when there is no Bazel; README.md describes it.

The order of steps makes every moment safe to be killed in: downloads are kept and gone on with, unpacking happens in a
fresh folder, and only a finished folder gets the link that bazelw looks for.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shutil
import signal
import sys
import tempfile
import time

import apt_private
import console
import package_lock
import prefix
from console import SetupError

_LOCK_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "packages.lock")
_ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
_VERSION_FILE = os.path.join(_ROOT, ".bazelversion")

# 161 MB of packages and 391 MB unpacked, with room for apt's lists; and what a first build downloads and unpacks.
_FREE_MB_NEEDED = 4000
_WAIT_SECONDS = 1800
_OTHER_WAY = "put bazelisk or a Bazel from 7.7 to 9 on PATH instead"


def set_up(link, version):
    """Makes link lead to a complete Bazel of this version, unless it does."""
    started = time.monotonic()
    base = prepare_base(os.path.dirname(link))
    link = os.path.join(base, os.path.basename(link))
    check_machine(base)
    with exclusive(os.path.join(base, "lock"), "setting up Bazel") as lock_fd:
        if os.path.exists(os.path.join(link, "bazel")):
            return  # made by the run that was waited for
        console.say(f"no Bazel on PATH: setting up a private Bazel {version} in {base}")
        remove_leftovers(base)
        check_space(base)
        check_pip()
        apt_folder = os.path.join(base, "apt")
        debs = fetch(apt_private.PrivateApt(apt_folder, lock_fd), version)
        console.say(f"unpacking {len(debs)} packages")
        folder = tempfile.mkdtemp(prefix="build.", dir=base)
        try:
            prefix.build(folder, debs, version)
            publish(folder, link)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(apt_folder, ignore_errors=True)
        # Again, because an unpacker that outlived a killed run may have written while the first sweep removed.
        remove_leftovers(base)
    console.say(f"Bazel {version} is ready after {time.monotonic() - started:.0f} s; it stays in {base}")


def prepare_base(folder):
    """Makes the folder that holds everything and returns its real path, or says why it cannot be used."""
    base = os.path.realpath(folder)
    if base.startswith("/tmp/"):
        raise SetupError(
            f"{base} lies under /tmp, which Bazel hides from sandboxed actions: set XDG_CACHE_HOME elsewhere"
        )
    # Bazel's own outputs lie in this cache folder too, and blanks in their paths break builds. Colons separate loader
    # paths, rc files and apt's settings give other signs a meaning, and in the C locale Java finds no non-ASCII name.
    odd = re.search(r"[^\w./+,=@~-]", base, re.ASCII)
    if odd:
        raise SetupError(
            f"the path '{base}' holds {odd.group()!r}, which breaks Bazel's builds: set XDG_CACHE_HOME elsewhere"
        )
    try:
        os.makedirs(base, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"cannot make {base} ({error.strerror}): set XDG_CACHE_HOME to a folder of your own"
        ) from error
    return base


def check_machine(base):
    """Raises an error where Debian's Bazel cannot be set up or run."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        raise SetupError(
            f"a Bazel from Debian's packages is prepared for Linux x86_64 only, this is {machine}: {_OTHER_WAY}"
        )
    missing = [tool for tool in ("apt-get", "apt-cache", "apt-config", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        raise SetupError(
            f"{', '.join(missing)} not found: a private Bazel can be made only on Debian and systems with its apt; "
            + _OTHER_WAY
        )
    if not os.access(base, os.W_OK):
        raise SetupError(f"cannot write to {base}: set XDG_CACHE_HOME to a folder of your own")
    if os.statvfs(base).f_flag & os.ST_NOEXEC:
        raise SetupError(
            f"{base} lies on a file system mounted noexec: set XDG_CACHE_HOME to one that can hold programs"
        )


def check_space(base):
    """Raises an error when the disk has too little room."""
    free_mb = shutil.disk_usage(base).free // 10**6
    if free_mb < _FREE_MB_NEEDED:
        raise SetupError(
            f"{base} has {free_mb} MB free, {_FREE_MB_NEEDED} MB are needed: "
            "free some, or set XDG_CACHE_HOME to a folder on a larger disk"
        )


def check_pip():
    """Raises an error where no Python has pip, which builds fetch their wheels by. The search is the builds' own."""
    sys.path.append(os.path.join(_ROOT, "doctor"))
    from rctx import RepositoryContext
    from starlark import Workspace

    workspace = Workspace(pathlib.Path(_ROOT))
    python, reasons = workspace.load("//bazel/lib:interpreters.bzl")["find_pip"](RepositoryContext(dict(os.environ)))
    if not python:
        problems = workspace.load("//bazel/lib:problems.bzl")
        raise SetupError(problems["format_problem"](problems["no_pip"]("CUDA, PyTorch", reasons)).strip())


@contextlib.contextmanager
def exclusive(path, what, wait_seconds=_WAIT_SECONDS):
    """Holds a lock that ends with the process and yields its descriptor; says so when it has to wait.

    Args:
      path: the lock's file.
      what: what the run that holds it does, such as "setting up Bazel".
      wait_seconds: when to give up.
    """
    with open(path, "a", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_seconds
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    console.say(f"another run is {what}; waiting for it")
                waiting = True
            if time.monotonic() > deadline:
                raise SetupError(
                    f"another run has held {path} for {wait_seconds} s: end it (`fuser {path}` names it) and try again"
                )
            time.sleep(0.2)
        yield file.fileno()


def remove_leftovers(base):
    """Removes what killed runs left: build folders without a link, and links that were not renamed yet."""
    entries = [os.path.join(base, name) for name in os.listdir(base)]
    for entry in entries:
        if os.path.islink(entry) and os.path.basename(entry).startswith("link."):
            os.unlink(entry)
    in_use = {os.path.realpath(entry) for entry in entries if os.path.islink(entry)}
    for entry in entries:
        if os.path.basename(entry).startswith("build.") and entry not in in_use:
            shutil.rmtree(entry, ignore_errors=True)


def fetch(apt, version):
    """Downloads Bazel's packages and returns the paths of the verified files."""
    apt.select_mirror()
    plan = apt.plan(version)
    for difference in package_lock.check(read_lock(), [package for package, _, _ in plan]):
        console.say(f"note: {difference} (signed by Debian, so it is taken)")
    total_bytes = sum(size_bytes for _, _, size_bytes in plan)
    console.say(f"downloading {len(plan)} packages, {total_bytes / 1e6:.0f} MB")
    for _ in range(2):
        apt.download(plan)
        damaged = remove_damaged(apt.archives, plan)
        if not damaged:
            return [os.path.join(apt.archives, file_name) for _, file_name, _ in plan]
    raise SetupError(f"{', '.join(damaged)} arrived damaged twice: check the disk and the proxy, then run this again")


def remove_damaged(archives, plan):
    """Removes the files that differ from the signed package list and returns their names.

    apt verifies what it downloads, but of a file kept from an interrupted run it looks at the size alone.
    """
    damaged = []
    for package, file_name, _ in plan:
        path = os.path.join(archives, file_name)
        if sha256_of(path) != package.sha256:
            damaged.append(file_name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return damaged


def sha256_of(path):
    """Returns a file's SHA-256, or None where there is no such file."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def publish(folder, link):
    """Makes link lead to folder in one step: whoever looks sees nothing or all of it."""
    os.chmod(folder, 0o755)
    new_link = os.path.join(os.path.dirname(link), f"link.{os.getpid()}")
    os.symlink(os.path.basename(folder), new_link)
    os.replace(new_link, link)


def read_lock():
    """Returns the packages of packages.lock, by name."""
    with open(_LOCK_FILE, encoding="utf-8") as file:
        return package_lock.parse(file.read())


def refresh_lock(version):
    """Writes packages.lock anew from what the machine's mirror offers now; downloads the package list alone."""
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        apt = apt_private.PrivateApt(folder, lock.fileno())
        date = apt.select_mirror()
        packages = [package for package, _, _ in apt.plan(version)]
    with open(_LOCK_FILE, "w", encoding="utf-8") as file:
        file.write(package_lock.render(packages, apt_private.SUITE, date))
    console.say(f"{len(packages)} packages written to {_LOCK_FILE}")


def end_in_order():
    """Lets a run that is ended in the usual ways still stop its children and remove its unfinished folder."""
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda number, _: sys.exit(128 + number))


def main():
    """Parses the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Sets up a private Bazel from Debian's packages.")
    parser.add_argument("--prefix", metavar="LINK", help="make LINK lead to a complete Bazel")
    parser.add_argument("--bazel-version", help="the version wanted (default: .bazelversion)")
    parser.add_argument("--refresh-lock", action="store_true", help="only write packages.lock anew")
    arguments = parser.parse_args()
    if bool(arguments.prefix) == arguments.refresh_lock:
        parser.error("give either --prefix or --refresh-lock")
    end_in_order()
    os.umask(0o022)
    version = arguments.bazel_version
    if version is None:
        with open(_VERSION_FILE, encoding="utf-8") as file:
            version = file.read().strip()
    try:
        if arguments.refresh_lock:
            refresh_lock(version)
        else:
            set_up(arguments.prefix, version)
    except SetupError as error:
        console.say(f"error: {error}")
        return 1
    except OSError as error:
        console.say(f"error: {error}: check the free space and the owner of the cache folder, then run this again")
        return 1
    except KeyboardInterrupt:
        console.say("interrupted; what was downloaded is kept for the next run")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

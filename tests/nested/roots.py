"""Other Debians, unpacked from locked packages: a shell, coreutils, a C library and a Python, and no compiler."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

from workspace import scratch

# Run by `unshare` as root of a user namespace: ROOT SOURCE TARGET ... -- COMMAND.
_ENTER = """
set -e
root=$1
shift
mount -t tmpfs tmpfs "$root"
mkdir -m 1777 "$root/tmp"
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$root${2%/*}" && touch "$root$2"; fi
  mount --rbind "$1" "$root$2"
  shift 2
done
shift
exec /usr/sbin/chroot "$root" "$@"
"""


def _make_links_relative(folder: pathlib.Path, unpacked: pathlib.Path) -> None:
    """Bazel unpacks absolute links as ones to where the file then lies, which programs in the root do not see."""
    for path in folder.rglob("*"):
        if path.is_symlink() and path.readlink().is_absolute():
            target = folder / path.readlink().relative_to(unpacked)
            path.unlink()
            path.symlink_to(os.path.relpath(target, path.parent))


class Root:
    """One of them.

    Attributes:
        folder: where its files lie.
        python: its Python.
    """

    def __init__(self, name: str) -> None:
        [marker] = (path for path in os.environ["ROOTS"].split() if f"awq_root_{name}/" in path)
        unpacked = pathlib.Path(marker).resolve().parent
        self.folder = scratch() / f"root-{name}"
        if not self.folder.exists():
            shutil.copytree(unpacked, self.folder, symlinks=True)
            _make_links_relative(self.folder, unpacked)
        [self.python] = (self.folder / "usr/bin").glob("python3.*")

    def mounts(self) -> list[tuple[str, str]]:
        """Its folders and the places at which programs expect them; its Python stands in for that of this machine."""
        merged = not (self.folder / "bin").exists()  # newer Debians have nothing but links outside /usr
        system = self.folder / "usr" if merged else self.folder
        places = [(self.folder / "usr", "/usr"), *((system / name, f"/{name}") for name in ("bin", "lib", "lib64"))]
        places.append((self.python, os.path.realpath(sys.executable)))
        return [(str(source), target) for source, target in places]

    def sandbox(self) -> list[str]:
        """Options for sandboxes that hold declared inputs and this root, and nothing of the machine."""
        pairs = [f"--sandbox_add_mount_pair={source}:{target}" for source, target in self.mounts()]
        return ["--experimental_use_hermetic_linux_sandbox", "--spawn_strategy=linux-sandbox", *pairs]

    def command(self, command: list[str], scratch: pathlib.Path, folders: list[pathlib.Path]) -> list[str]:
        """A command that runs another one in this root, which also has some folders of the machine at their own places.

        Args:
            command: what to run.
            scratch: an empty folder.
            folders: what it sees besides.
        """
        places = [*self.mounts(), ("/dev", "/dev"), ("/proc", "/proc"), *((str(path), str(path)) for path in folders)]
        arguments = [word for place in places for word in place]
        enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _ENTER, "enter", str(scratch)]
        return [*enter, *arguments, "--", *command]

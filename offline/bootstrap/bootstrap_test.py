"""Tests the set-up's order of steps and each of its refusals, with a fake apt on PATH."""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
import types
import unittest
from unittest import mock

import apt_private
import bootstrap
from console import SetupError
from package_lock import Package

# Not /tmp, which the set-up refuses.
_SCRATCH = os.environ.get("TEST_TMPDIR", "/var/tmp")

_CONTENT = b"a package"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()

# What a fake apt-get answers per subcommand, as shell text.
_MIRROR = "echo 'Packages|main|bookworm|http://mirror.example/debian/|'"
_RELEASE = "true"
_URIS = f"echo \"'http://mirror.example/b.deb' bazel-bootstrap_7.7.1+ds-8_amd64.deb 9 SHA256:{_SHA256}\""


class ScratchTest(unittest.TestCase):
    """Gives each test a folder and a PATH of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=_SCRATCH)
        self.addCleanup(shutil.rmtree, self.folder)
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)

    def program(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)


class PrepareBaseTest(ScratchTest):
    def test_folder_is_made_and_resolved(self):
        os.symlink(self.folder, self.folder + "/link")
        self.assertEqual(bootstrap.prepare_base(self.folder + "/link/a/b"), os.path.realpath(self.folder) + "/a/b")

    def test_tmp_is_refused(self):
        with (
            tempfile.TemporaryDirectory(dir="/tmp") as folder,
            self.assertRaisesRegex(SetupError, "under /tmp.*XDG_CACHE_HOME"),
        ):
            bootstrap.prepare_base(folder)

    def test_odd_characters_are_refused(self):
        for name in ("a b", "a:b", "a'b", "a$b", "a%b", "höm"):
            with self.subTest(name=name), self.assertRaisesRegex(SetupError, "breaks Bazel's builds.*XDG_CACHE_HOME"):
                bootstrap.prepare_base(os.path.join(self.folder, name))

    def test_a_folder_that_cannot_be_made(self):
        with self.assertRaisesRegex(SetupError, "cannot make /proc/none.*XDG_CACHE_HOME"):
            bootstrap.prepare_base("/proc/none")


class CheckMachineTest(ScratchTest):
    def check(self, machine="x86_64", path=None):
        with mock.patch("platform.machine", lambda: machine), mock.patch.dict(os.environ, PATH=path or self.bin):
            bootstrap.check_machine(self.folder)

    def test_other_processors(self):
        with self.assertRaisesRegex(SetupError, "x86_64 only, this is Linux aarch64.*bazelisk"):
            self.check(machine="aarch64")

    def test_no_apt(self):
        self.program("dpkg-deb", "")
        with self.assertRaisesRegex(SetupError, "^apt-get, apt-cache, apt-config not found: .*Debian.*bazelisk"):
            self.check()

    def test_noexec(self):
        for name in ("apt-get", "apt-cache", "apt-config", "dpkg-deb"):
            self.program(name, "")
        self.check()
        mounted = types.SimpleNamespace(f_flag=os.ST_NOEXEC)
        with mock.patch("os.statvfs", lambda _: mounted), self.assertRaisesRegex(SetupError, "noexec"):
            self.check()

    def test_full_disk(self):
        usage = types.SimpleNamespace(free=5 * 10**6)
        with (
            mock.patch("shutil.disk_usage", lambda _: usage),
            self.assertRaisesRegex(SetupError, "has 5 MB free, 4000 MB are"),
        ):
            bootstrap.check_space(self.folder)

    def test_no_pip(self):
        for name, version, has_pip, refused in [
            ("python3", "3.11", "false", True),
            ("python3", "3.8", "true", True),
            ("python3.27", "3.27", "true", False),
        ]:
            facts = f'{{"executable": "/python", "version": "{version}", "has_pip": {has_pip}}}'
            self.program(name, f"echo '{facts}'")
            exists = mock.patch(
                "os.path.exists", lambda path: str(path).startswith(self.bin) and os.access(path, os.F_OK)
            )
            with mock.patch.dict(os.environ, PATH=self.bin), exists:
                if refused:
                    with self.assertRaisesRegex(SetupError, "(?s)no Python with pip.*Python 3.*cure.*python3-pip"):
                        bootstrap.check_pip()
                else:
                    bootstrap.check_pip()


class LockTest(ScratchTest):
    def test_the_second_waits_says_so_and_gives_up(self):
        path = os.path.join(self.folder, "lock")
        errors = io.StringIO()
        with bootstrap.exclusive(path, "trying"), contextlib.redirect_stderr(errors):
            with self.assertRaisesRegex(SetupError, "has held .*lock for 0.3 s"):
                with bootstrap.exclusive(path, "trying", 0.3):
                    pass
        self.assertEqual(errors.getvalue().count("another run is trying; waiting for it"), 1)
        with bootstrap.exclusive(path, "trying", 0):
            pass


class PublishTest(ScratchTest):
    def test_what_killed_runs_left_is_removed_and_nothing_else(self):
        for name in ("build.old", "build.used", "apt"):
            os.mkdir(os.path.join(self.folder, name))
        bootstrap.publish(os.path.join(self.folder, "build.used"), os.path.join(self.folder, "bazel-7"))
        os.symlink("build.old", os.path.join(self.folder, "link.123"))
        bootstrap.remove_leftovers(self.folder)
        self.assertEqual(sorted(os.listdir(self.folder)), ["apt", "bazel-7", "bin", "build.used"])
        self.assertEqual(os.readlink(os.path.join(self.folder, "bazel-7")), "build.used")


class FetchTest(ScratchTest):
    """Runs the set-up up to unpacking, with an apt whose answers are given."""

    def setUp(self):
        super().setUp()
        self.base = os.path.join(self.folder, "cache")
        self.program("apt-config", "echo 'Acquire::http::Proxy \"http://proxy.example\";'")
        self.program("dpkg-deb", "exit 1")
        self.apt()

    def apt(
        self, indextargets=_MIRROR, update=_RELEASE, show="echo 'Version: 7.7.1+ds-8'", uris=_URIS, download="exit 1"
    ):
        self.program("apt-cache", show)
        self.program(
            "apt-get",
            f'case "$*" in\nindextargets*) {indextargets} ;;\nupdate*) {update} ;;\n'
            f'*--print-uris*) {uris} ;;\n*) cd "{self.base}/apt/archives" && {download} ;;\nesac',
        )

    def run_set_up(self, locked=()):
        """Returns the exit status and what was printed."""
        errors = io.StringIO()
        path = self.bin + os.pathsep + os.environ["PATH"]
        link = os.path.join(self.base, "bazel-7.7.1-r1")
        with (
            mock.patch.object(apt_private, "_DEBIAN_KEYRINGS", (__file__,)),
            mock.patch.object(bootstrap, "read_lock", lambda: {package.name: package for package in locked}),
            mock.patch("sys.argv", ["bootstrap.py", "--prefix", link, "--bazel-version", "7.7.1"]),
            mock.patch.dict(os.environ, PATH=path),
            mock.patch("platform.machine", lambda: "x86_64"),
            mock.patch.object(bootstrap, "check_pip", lambda: None),
            mock.patch.object(bootstrap, "check_space", lambda _: None),
            contextlib.redirect_stderr(errors),
        ):
            status = bootstrap.main()
        return status, errors.getvalue()

    def assert_fails(self, *texts, **arguments):
        status, printed = self.run_set_up(**arguments)
        self.assertEqual(status, 1)
        for text in texts:
            self.assertIn(text, printed)
        self.assertNotIn("Traceback", printed)
        self.assertEqual([name for name in os.listdir(self.base) if name.startswith(("build.", "bazel-"))], [])

    def test_no_debian_mirror(self):
        self.apt(indextargets="true")
        self.assert_fails("name no Debian mirror")

    def test_no_keyring(self):
        with mock.patch.object(apt_private, "_DEBIAN_KEYRINGS", ("/no/keyring",)):
            with (
                tempfile.TemporaryDirectory(dir=_SCRATCH) as folder,
                open(folder + "/lock", "w", encoding="utf-8") as lock,
            ):
                with mock.patch.dict(os.environ, PATH=self.bin + os.pathsep + os.environ["PATH"]):
                    apt = apt_private.PrivateApt(folder, lock.fileno())
                with self.assertRaisesRegex(SetupError, "/no/keyring.*install the package debian-archive-keyring"):
                    apt.select_mirror()

    def test_unreadable_apt_configuration(self):
        self.program("apt-config", "echo 'E: Syntax error /etc/apt/apt.conf:1' >&2; exit 100")
        self.assert_fails("apt configuration cannot be read", "Syntax error /etc/apt/apt.conf:1")

    def test_dead_proxy(self):
        # apt ends with status 0 when it has no list at all and nothing but warnings to say about it.
        self.apt(update="echo 'W: Failed to fetch http://mirror.example/debian/  Could not connect'")
        self.assert_fails(
            "http://mirror.example/debian/ does not deliver Debian forky", "Could not connect", "http_proxy"
        )

    def test_second_mirror_is_tried(self):
        self.apt(
            indextargets=f"{_MIRROR}; echo 'Packages|main|trixie|http://second.example/|'",
            update=f'grep -q second "{self.base}/apt/sources.list"',
            show="true",
        )
        self.assert_fails("from http://second.example/", "carries Bazel (none) now")

    def test_debian_has_moved_on(self):
        for version in ("8.0.0+ds-1", "7.7.10+ds-1"):
            self.apt(show=f"echo 'Version: {version}'")
            self.assert_fails(f"carries Bazel {version} now", "needs 7.7.1", "snapshot")

    def test_unexpected_failure_of_the_system(self):
        os.mkdir(self.base)
        os.mkdir(os.path.join(self.base, "lock"))
        self.assert_fails("Is a directory", "check the free space and the owner of the cache folder")

    def test_locked_version_with_other_content(self):
        locked = Package("bazel-bootstrap", "7.7.1+ds-8", "amd64", "0" * 64)
        self.assert_fails("other content", "bazel-bootstrap 7.7.1+ds-8", locked=[locked])

    def test_other_version_is_noted(self):
        locked = Package("bazel-bootstrap", "7.7.1+ds-7", "amd64", "0" * 64)
        self.assert_fails(
            "note: bazel-bootstrap 7.7.1+ds-7 is locked, 7.7.1+ds-8 is offered",
            "downloading 1 packages",
            locked=[locked],
        )

    def test_failed_download(self):
        self.apt(download="echo 'E: Failed to fetch http://mirror.example/b.deb  404  Not Found'; exit 100")
        self.assert_fails("what arrived is kept", "404  Not Found")

    def test_damaged_download_is_fetched_again_once(self):
        deb = "bazel-bootstrap_7.7.1+ds-8_amd64.deb"
        self.apt(download=f"echo try >> ../tries && printf 'damaged!!' > {deb}")
        self.assert_fails(f"{deb} arrived damaged twice")
        with open(os.path.join(self.base, "apt", "tries"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 2)

    def test_damaged_package_of_a_killed_run_is_replaced(self):
        deb = "bazel-bootstrap_7.7.1+ds-8_amd64.deb"
        archives = os.path.join(self.base, "apt", "archives")
        os.makedirs(archives)
        with open(os.path.join(archives, deb), "wb") as file:
            file.write(b"damaged!!")
        self.apt(download=f"test -e {deb} || printf '{_CONTENT.decode()}' > {deb}")
        self.assert_fails("unpacking 1 packages", "dpkg-deb -x", "failed with status 1")
        self.assertEqual(bootstrap.sha256_of(os.path.join(archives, deb)), _SHA256)


if __name__ == "__main__":
    unittest.main()

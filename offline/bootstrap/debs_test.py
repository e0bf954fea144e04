"""Tests how a lock's packages get into the folder, with a fake apt, and how a lock is written anew."""

import contextlib
import io
import os
import unittest
from unittest import mock

import apt_private
import debs
from bootstrap_test import _SHA256, ScratchTest
from console import SetupError

_ROW = f"tools bullseye/main g++-10 amd64 10.2.1-6 9 {_SHA256} pool/main/g/gcc-10/g++-10_10.2.1-6_amd64.deb"
_FILE = "g++-10_10.2.1-6_amd64.deb"
_NEW_ROW = "target bullseye/main libc6 arm64"


class ParseTest(unittest.TestCase):
    def test_columns(self):
        comments, rows = debs.parse(f"# About.\nsnapshot bullseye 20250810T091630Z\n{_ROW}\n\n{_NEW_ROW}\n", "a.lock")
        self.assertEqual(comments, ["# About."])
        self.assertEqual([row.package for row in rows], ["g++-10", "libc6"])
        self.assertEqual((rows[0].size_bytes, rows[0].sha256, rows[1].version), ("9", _SHA256, ""))

    def test_malformed_line_is_named(self):
        with self.assertRaisesRegex(SetupError, "a.lock: expected four or 8 columns, got 'one two'"):
            debs.parse("one two\n", "a.lock")


class FetchTest(ScratchTest):
    """apt's programs are scripts; two mirrors, of which the first lacks everything."""

    def setUp(self):
        super().setUp()
        self.lock = os.path.join(self.folder, "a.lock")
        with open(self.lock, "w", encoding="utf-8") as file:
            file.write(f"snapshot bullseye 20250810T091630Z\n{_ROW}\n")
        self.debs = os.path.join(self.folder, "debs")
        self.calls = os.path.join(self.folder, "calls")
        self.program("apt-config", "true")
        sources = [f"Packages|main|bookworm|http://{name}|" for name in ("a.example/debian/", "b.example/debian")]
        self.program("apt-get", "printf '%s\\n' " + " ".join(map(repr, sources)))
        self.helper(
            "case $2 in http://b.*/pool/*) printf 'a package' >\"$3\" ;; *) echo 'E: 404  Not Found'; exit 100 ;; esac"
        )
        keyring = os.path.join(self.folder, "keyring")
        open(keyring, "w", encoding="utf-8").close()
        for patch in (
            mock.patch.dict(os.environ, {"PATH": f"{self.bin}:{os.environ['PATH']}"}),
            mock.patch.object(apt_private, "_APT_HELPER", os.path.join(self.bin, "apt-helper")),
            mock.patch.object(apt_private, "_DEBIAN_KEYRINGS", (keyring,)),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def helper(self, text):
        self.program("apt-helper", f'echo "$2" >>{self.calls}\n{text}')

    def fetch(self):
        """Fetches; returns the addresses that apt was asked for, and what was said."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            debs.fetch(self.lock, self.debs)
        asked = []
        if os.path.exists(self.calls):
            with open(self.calls, encoding="utf-8") as file:
                asked = file.read().split()
            os.unlink(self.calls)
        return asked, errors.getvalue()

    def content(self):
        with open(os.path.join(self.debs, _FILE), encoding="utf-8") as file:
            return file.read()

    def test_the_next_mirror_is_asked_for_what_one_lacks(self):
        asked, said = self.fetch()
        path = "debian/pool/main/g/gcc-10/" + _FILE
        self.assertEqual(asked, ["http://a.example/" + path, "http://b.example/" + path])
        self.assertIn("downloading 1 packages, 0 MB, from http://b.example/debian", said)
        self.assertEqual(self.content(), "a package")
        self.assertEqual(sorted(os.listdir(self.debs)), [_FILE, "lock", "partial"])

    def test_what_is_there_is_not_fetched(self):
        self.fetch()
        self.assertEqual(self.fetch(), ([], ""))

    def test_a_tampered_file_is_replaced(self):
        self.fetch()
        with open(os.path.join(self.debs, _FILE), "w", encoding="utf-8") as file:
            file.write("a pickage")
        asked, _ = self.fetch()
        self.assertEqual(len(asked), 2)
        self.assertEqual(self.content(), "a package")

    def test_what_a_killed_run_left_is_used_if_whole(self):
        os.makedirs(os.path.join(self.debs, "partial"))
        for name, content in ((_FILE, "a package"), ("another", "rest")):
            with open(os.path.join(self.debs, "partial", name), "w", encoding="utf-8") as file:
                file.write(content)
        self.assertEqual(self.fetch(), ([], ""))
        self.assertEqual(self.content(), "a package")
        self.assertEqual(os.listdir(os.path.join(self.debs, "partial")), [])

    def test_a_cut_file_is_not_taken(self):
        self.helper("printf 'a pack' >\"$3\"")
        with self.assertRaisesRegex(SetupError, "did not deliver"):
            self.fetch()
        self.assertFalse(os.path.exists(os.path.join(self.debs, _FILE)))

    def test_mirrors_that_lack_a_file_are_named_with_the_cure(self):
        self.helper("echo 'E: Failed to fetch  404  Not Found'; exit 100")
        with self.assertRaises(SetupError) as failure:
            self.fetch()
        for words in (
            "http://a.example/debian/ did not deliver:",
            "http://b.example/debian did not deliver:",
            "pool/main/g/gcc-10/" + _FILE,
            "sha256 " + _SHA256,
            "404  Not Found",
            "past its support",
            "archive.debian.org",
            "put the files into " + self.debs,
        ):
            self.assertIn(words, str(failure.exception))


class RefreshTest(ScratchTest):
    def test_new_rows_are_filled_in_and_old_ones_renewed(self):
        lock = os.path.join(self.folder, "a.lock")
        with open(lock, "w", encoding="utf-8") as file:
            file.write(f"# About.\n{_ROW}\n{_NEW_ROW}\n")

        class Apt:
            def __init__(self, *_, foreign):
                self.foreign = foreign

            def select_suites(self, suites):
                assert suites == ["bullseye/main"] and self.foreign == ["arm64"]
                return {"bullseye": "Sat, 09 Aug 2025 09:16:30 UTC"}

            def show(self, package):
                return {"Version": "2", "Size": "3", "SHA256": "f" * 64, "Filename": f"pool/{package}.deb"}

        with mock.patch.object(apt_private, "PrivateApt", Apt), contextlib.redirect_stderr(io.StringIO()):
            debs.refresh(lock)
        with open(lock, encoding="utf-8") as file:
            self.assertEqual(
                file.read().splitlines(),
                [
                    "# About.",
                    "snapshot bullseye 20250810T091630Z",
                    f"tools bullseye/main g++-10 amd64 2 3 {'f' * 64} pool/g++-10:amd64.deb",
                    f"target bullseye/main libc6 arm64 2 3 {'f' * 64} pool/libc6:arm64.deb",
                ],
            )


class LocksTest(unittest.TestCase):
    def test_every_lock_is_whole(self):
        locks = [os.path.join("third_party/deb/locks", name) for name in os.listdir("third_party/deb/locks")]
        self.assertGreaterEqual(len(locks), 4)
        for lock in locks:
            if lock.endswith(".lock"):
                with open(lock, encoding="utf-8") as file:
                    comments, rows = debs.parse(file.read(), lock)
                self.assertIn("# Written by: python3 offline/bootstrap/debs.py --refresh " + lock, comments)
                for row in rows:
                    self.assertRegex(row.sha256, "^[0-9a-f]{64}$")
                    self.assertTrue(row.path.startswith("pool/") and row.path.endswith(".deb"), row.path)


if __name__ == "__main__":
    unittest.main()

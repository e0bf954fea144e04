"""Tests the parts of the prefix that need no Debian package."""

import os
import struct
import subprocess
import tempfile
import unittest

import prefix


class RelocateLinksTest(unittest.TestCase):
    def test_absolute_links_lead_into_the_prefix_where_their_target_is_there(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(folder + "/usr/lib/real")
            os.symlink("/usr/lib/real", folder + "/usr/lib/to_folder")
            os.symlink("/usr/lib/to_folder", folder + "/usr/lib/to_link")
            os.symlink("/etc/not/packaged", folder + "/usr/lib/outside")
            os.symlink("real", folder + "/usr/lib/relative")
            prefix.relocate_links(folder)
            self.assertEqual(os.readlink(folder + "/usr/lib/to_folder"), folder + "/usr/lib/real")
            self.assertEqual(os.readlink(folder + "/usr/lib/to_link"), folder + "/usr/lib/to_folder")
            self.assertEqual(os.readlink(folder + "/usr/lib/outside"), "/etc/not/packaged")
            self.assertEqual(os.readlink(folder + "/usr/lib/relative"), "real")


class HasInterpreterTest(unittest.TestCase):
    def _check(self, content):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            return prefix.has_interpreter(file.name)

    def _elf(self, header_types):
        header = (
            b"\x7fELF\x02".ljust(32, b"\0")
            + struct.pack("<Q", 64)
            + bytes(14)
            + struct.pack("<HH", 56, len(header_types))
        )
        return header.ljust(64, b"\0") + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in header_types)

    def test_empty_and_script(self):
        self.assertFalse(self._check(b""))
        self.assertFalse(self._check(b"#!/bin/sh\nexit\n"))

    def test_static_program(self):
        self.assertFalse(self._check(self._elf([1, 1])))

    def test_dynamic_program(self):
        self.assertTrue(self._check(self._elf([6, 3, 1])))


class StartScriptTest(unittest.TestCase):
    def test_options_and_arguments_arrive_unchanged(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = os.path.join(folder, "it's a $HOME")
            os.makedirs(folder + "/usr/bin")
            for path, text in (
                (folder + "/usr/bin/bazel", '#!/bin/sh\nprintf "%s\\n" "$@"\n'),
                (folder + "/bazel", prefix.start_script(folder)),
            ):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(path, 0o755)
            lines = subprocess.check_output([folder + "/bazel", "build", "//a b", "*"], text=True).splitlines()
            self.assertEqual(lines[0], "--trust_install_base")
            self.assertEqual(lines[1], f"--install_base={folder}/usr/share/bazel")
            self.assertEqual(lines[-3:], ["build", "//a b", "*"])


if __name__ == "__main__":
    unittest.main()

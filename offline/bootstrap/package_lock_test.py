"""Tests the lock file's format and what counts as a difference from it."""

import unittest

import package_lock
from console import SetupError
from package_lock import Package

_BAZEL = Package("bazel-bootstrap", "7.7.1+ds-8", "amd64", "a" * 64)
_JAVA = Package("openjdk-25-jre-headless", "25.0.1-1", "amd64", "b" * 64)
_LOCKED = {package.name: package for package in (_BAZEL, _JAVA)}


class FormatTest(unittest.TestCase):
    def test_what_is_rendered_is_parsed(self):
        text = package_lock.render([_JAVA, _BAZEL], "forky", "Fri, 30 Oct 2026 08:08:01 UTC")
        self.assertIn("forky release of Fri, 30 Oct 2026", text)
        self.assertEqual(list(package_lock.parse(text).items()), list(_LOCKED.items()))

    def test_empty(self):
        self.assertEqual(package_lock.parse("# nothing\n\n"), {})

    def test_broken_line_is_named(self):
        for line in ("bazel 7.7.1", f"bazel 7.7.1 amd64 {'A' * 64}", "bazel 7.7.1 amd64 123"):
            with self.subTest(line=line), self.assertRaisesRegex(SetupError, "packages.lock, line 2: .*got 'bazel"):
                package_lock.parse(f"# comment\n{line}\n")


class CheckTest(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(package_lock.check(_LOCKED, [_JAVA, _BAZEL]), [])

    def test_other_version_is_accepted_and_named(self):
        newer = _JAVA._replace(version="25.0.2-1", sha256="c" * 64)
        self.assertEqual(
            package_lock.check(_LOCKED, [_BAZEL, newer]),
            ["openjdk-25-jre-headless 25.0.1-1 is locked, 25.0.2-1 is offered"],
        )

    def test_package_on_one_side_only_is_named(self):
        extra = Package("libnew", "1-1", "all", "d" * 64)
        self.assertEqual(
            package_lock.check(_LOCKED, [_BAZEL, extra]),
            ["libnew 1-1 is not in the lock", "openjdk-25-jre-headless 25.0.1-1 is locked but no longer needed"],
        )

    def test_same_version_with_other_content_is_refused(self):
        forged = _JAVA._replace(sha256="e" * 64)
        with self.assertRaisesRegex(
            SetupError, "other content:\n  openjdk-25-jre-headless 25.0.1-1: locked bbb.*offered eee"
        ):
            package_lock.check(_LOCKED, [_BAZEL, forged])


if __name__ == "__main__":
    unittest.main()

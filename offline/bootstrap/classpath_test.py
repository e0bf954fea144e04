"""Tests how the jars of Bazel's class path are found."""

import os
import tempfile
import unittest
import zipfile

import classpath


class ManifestClassPathTest(unittest.TestCase):
    def test_none(self):
        self.assertEqual(classpath.manifest_class_path(""), [])
        self.assertEqual(classpath.manifest_class_path("Manifest-Version: 1.0\r\n\r\n"), [])

    def test_wrapped_in_the_middle_of_a_name(self):
        manifest = "Manifest-Version: 1.0\r\nClass-Path: a.jar lib/lo\r\n ng.jar b.jar\r\nCreated-By: x\r\n"
        self.assertEqual(classpath.manifest_class_path(manifest), ["a.jar", "lib/long.jar", "b.jar"])


class ClosureTest(unittest.TestCase):
    def _closure(self, listed, manifests):
        return classpath.closure(listed, manifests.get)

    def test_empty(self):
        self.assertEqual(self._closure([], {}), [])

    def test_relative_absolute_and_url_entries(self):
        manifests = {
            "/usr/share/java/a.jar": "Class-Path: b.jar ../lib/c.jar file:/opt/d.jar classes/\n",
            "/usr/share/java/b.jar": "",
            "/usr/share/lib/c.jar": "",
            "/opt/d.jar": "",
        }
        self.assertEqual(
            self._closure(["/usr/share/java/a.jar"], manifests),
            ["/usr/share/java/a.jar", "/usr/share/java/b.jar", "/usr/share/lib/c.jar", "/opt/d.jar"],
        )

    def test_cycles_end_and_missing_jars_are_left_out(self):
        manifests = {"/a.jar": "Class-Path: b.jar gone.jar\n", "/b.jar": "Class-Path: a.jar\n"}
        self.assertEqual(self._closure(["/a.jar", "/b.jar", "/a.jar"], manifests), ["/a.jar", "/b.jar"])


class RelocateTest(unittest.TestCase):
    def test_list_file_is_rewritten_for_the_prefix(self):
        with tempfile.TemporaryDirectory() as prefix:
            for name, manifest in (("a", "Class-Path: b.jar\n"), ("b", None)):
                with zipfile.ZipFile(os.path.join(prefix, name + ".jar"), "w") as jar:
                    jar.writestr("x", "")
                    if manifest is not None:
                        jar.writestr("META-INF/MANIFEST.MF", manifest)
            list_file = os.path.join(prefix, "list.txt")
            with open(list_file, "w", encoding="utf-8") as file:
                file.write("/a.jar:/gone.jar\n")
            version_jar = os.path.join(prefix, "version.jar")
            classpath.write_version_jar(version_jar, "7.7.1")
            classpath.relocate(list_file, prefix, version_jar)
            with open(list_file, encoding="utf-8") as file:
                self.assertEqual(file.read().split(), [prefix + "/a.jar", prefix + "/b.jar", version_jar])
            with zipfile.ZipFile(version_jar) as jar:
                self.assertEqual(jar.read("build-data.properties"), b"build.label=7.7.1\n")


if __name__ == "__main__":
    unittest.main()

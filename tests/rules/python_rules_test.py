"""What Python programs find when Bazel runs them: a py_test, and a py_binary that an action ran."""

import os
import pathlib
import platform
import sys
import unittest

import headers_probe
import imported

ARGUMENTS = sys.argv[1:]


class PythonRulesTest(unittest.TestCase):
    def test_python_is_the_selected_one(self):
        """The runtime's toolchain and that of the headers, by which //config:python_... are set, are of one version."""
        self.assertEqual(".".join(platform.python_version_tuple()[:2]), os.environ["SELECTED_PYTHON"])

    def test_an_extension_module_is_compiled_with_the_headers_of_that_python(self):
        self.assertEqual(headers_probe.VERSION.split(".")[:2], list(platform.python_version_tuple()[:2]))

    def test_imports_are_searched_and_hold_nothing_unasked(self):
        folder = pathlib.Path(imported.__file__).parent
        self.assertIn(str(folder), sys.path)
        self.assertFalse((folder / "__init__.py").exists())

    def test_data_of_a_library_lies_beside_it(self):
        self.assertEqual(imported.DATA.read_text(), "data of a library\n")

    def test_arguments_and_environment_name_files_by_label(self):
        self.assertEqual(ARGUMENTS, ["--written", os.environ["WRITTEN"]])
        self.assertTrue(pathlib.Path(os.environ["WRITTEN"]).exists(), "no such file in the folder of the runfiles")

    def test_a_program_ran_in_an_action(self):
        self.assertEqual(pathlib.Path(os.environ["WRITTEN"]).read_text(), "data of a library\nby a rule\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

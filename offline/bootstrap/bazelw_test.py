"""Tests which Bazel the launcher runs, and with what, on a PATH that holds only what a test puts there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

_ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
_SCRATCH = os.environ.get("TEST_TMPDIR", "/var/tmp")


class LauncherTest(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="its a #{[50%]} ", dir=_SCRATCH))
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = os.path.join(self.folder, "work space")
        self.bin = os.path.join(self.folder, "bin")
        self.home = os.path.join(self.folder, "home")
        for path in (self.root, self.bin, self.home):
            os.mkdir(path)
        for name in ("bazelw", ".bazelversion"):
            shutil.copy(os.path.join(_ROOT, name), self.root)
        open(os.path.join(self.root, "MODULE.bazel"), "w", encoding="utf-8").close()
        template = os.path.join(self.root, "offline/offline.bazelrc")
        os.makedirs(os.path.dirname(template))
        with open(template, "w", encoding="utf-8") as file:
            names = ["%checkout%/there", "%bazel%/here", "%cache%/beside", "file://%checkout_url%"]
            file.write("".join(f'"--flag={name}"\n' for name in names))
        for name in ("cksum", "mv", "readlink", "sed", "sh", "tr"):
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        with open(os.path.join(_ROOT, ".bazelversion"), encoding="utf-8") as file:
            self.version = file.read().strip()
        with open(os.path.join(_ROOT, "bazelw"), encoding="utf-8") as file:
            recipe = re.search(r"^recipe=(\d+)", file.read(), re.MULTILINE).group(1)
        self.prefix = os.path.join(self.home, ".cache", "awq-bazelw", f"bazel-{self.version}-r{recipe}")

    def program(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)

    def bazel(self, name, version):
        self.program(
            os.path.join(self.bin, name), f'[ "$1" = --version ] && echo "bazel {version}" || echo {name} "$@"'
        )

    def ready_prefix(self):
        self.program(os.path.join(self.prefix, "bazel"), 'printf "%s|" debian "$@"')

    def launch(self, *arguments, script=None, cwd=None, **environment):
        """Returns the exit status, stdout and stderr of the launcher."""
        environment = {"PATH": self.bin, "HOME": self.home, **environment}
        environment = {name: value for name, value in environment.items() if value is not None}
        result = subprocess.run(
            [script or os.path.join(self.root, "bazelw"), *arguments],
            cwd=cwd or self.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return result.returncode, result.stdout.strip(), result.stderr.strip()

    def test_bazelisk_comes_first(self):
        self.bazel("bazelisk", "9.0.0")
        self.bazel("bazel", "7.0.0")
        self.assertEqual(self.launch("build", "//a b"), (0, "bazelisk build //a b", ""))

    def test_bazel_from_7_7_to_9(self):
        for version in ("7.7.0", "7.7.1", "7.10.0", "8.0.0", "8.8.1", "9.2.0", "9.3.0rc1"):
            self.bazel("bazel", version)
            self.assertEqual(self.launch("info"), (0, "bazel info", ""))

    def test_bazel_of_another_version_is_named_and_passed_over(self):
        self.ready_prefix()
        for version in ("6.5.0", "7.0.0", "7.6.2", "10.0.0rc2", "80.0.0"):
            self.bazel("bazel", version)
            status, printed, errors = self.launch("info")
            self.assertEqual((status, printed.split("|")[0]), (0, "debian"))
            self.assertIn(f"bin/bazel is not used: it is bazel {version}, wanted is bazel 7.7 or newer, 8 or 9", errors)

    def test_bazel_that_does_not_run(self):
        self.program(os.path.join(self.bin, "bazel"), "exit 1")
        self.assertIn("fails on --version", self.launch("info", AWQ_BAZELW="path")[2])

    def test_only_path_allowed(self):
        status, _, errors = self.launch("info", AWQ_BAZELW="path")
        self.assertEqual(status, 1)
        self.assertIn("PATH has neither bazelisk nor a bazel from 7.7 to 9", errors)

    def test_only_debian_allowed(self):
        self.bazel("bazelisk", "7.7.1")
        self.ready_prefix()
        self.assertTrue(self.launch("info", AWQ_BAZELW="debian")[1].startswith("debian|"))

    def test_unknown_way(self):
        status, _, errors = self.launch("info", AWQ_BAZELW="docker")
        self.assertEqual(status, 1)
        self.assertIn("AWQ_BAZELW is 'docker'; it can be 'path', 'debian' or unset", errors)

    def test_own_rc_file_and_arguments_reach_the_private_bazel(self):
        self.ready_prefix()
        status, printed, errors = self.launch("query", "a  b", "*")
        self.assertEqual((status, errors), (0, ""))
        rc_file = re.fullmatch(r"debian\|--bazelrc=(.*)\|query\|a  b\|\*\|", printed).group(1)
        with open(rc_file, encoding="utf-8") as file:
            kept = os.path.dirname(self.prefix)
            flags = [f"{self.root}/there", f"{self.prefix}/here", f"{kept}/beside", pathlib.Path(self.root).as_uri()]
            self.assertEqual(file.read(), "".join(f'"--flag={flag}"\n' for flag in flags))

    def test_in_another_workspace_it_names_the_same_folders(self):
        self.ready_prefix()
        self.assertEqual(self.launch("info", cwd=self.folder), self.launch("info"))

    def test_under_another_name_it_does_not_find_itself(self):
        self.ready_prefix()
        os.symlink(os.path.join(self.root, "bazelw"), os.path.join(self.bin, "bazel"))
        status, printed, _ = self.launch("info", script=os.path.join(self.bin, "bazel"), cwd=self.folder)
        self.assertEqual((status, printed.split("|")[0]), (0, "debian"))

    def test_first_build_is_announced_until_something_is_built(self):
        self.ready_prefix()
        self.assertIn("first build", self.launch("--batch", "build", "//...")[2])
        self.assertEqual(self.launch("query", "build")[2], "")
        self.assertEqual(self.launch("run", "--config=torch2.6", "//:doctor", "--", "--json")[2], "")
        os.mkdir(os.path.join(self.root, "bazel-out"))
        self.assertEqual(self.launch("build", "//...", cwd=os.path.join(self.root, "offline"))[2], "")

    def test_home_of_another_python_does_not_reach_the_set_up_and_bazel(self):
        self.program(os.path.join(self.bin, "bazelisk"), 'echo "${PYTHONHOME-none}"')
        self.assertEqual(self.launch("info", PYTHONHOME="/opt/other"), (0, "none", ""))

    def test_any_python_will_do_for_the_set_up(self):
        self.program(os.path.join(self.bin, "python3"), "exit 1")
        self.program(os.path.join(self.bin, "python3.27"), 'case "$2" in -c) ;; *) echo "set up by 3.27" ;; esac')
        self.assertEqual(self.launch("info")[1].splitlines()[0], "set up by 3.27")

    def test_no_home(self):
        status, _, errors = self.launch("info", HOME=None)
        self.assertEqual(status, 1)
        self.assertIn("neither XDG_CACHE_HOME nor HOME", errors)

    def test_cache_folder_of_the_environment(self):
        self.ready_prefix()
        cache = os.path.join(self.home, ".cache")
        self.assertTrue(self.launch("info", HOME=None, XDG_CACHE_HOME=cache)[1].startswith("debian|"))

    def test_failed_set_up_ends_the_launcher(self):
        os.symlink(sys.executable, os.path.join(self.bin, "python3"))
        folder = os.path.join(self.root, "offline/bootstrap")
        os.makedirs(folder)
        with open(os.path.join(folder, "bootstrap.py"), "w", encoding="utf-8") as file:
            file.write("import sys\nsys.exit(' '.join(sys.argv[1:]))\n")
        status, _, errors = self.launch("info")
        self.assertEqual(status, 1)
        self.assertEqual(errors, f"--bazel-version {self.version} --prefix {self.prefix}")


class OfflineRcTest(unittest.TestCase):
    def test_modules_and_repositories_are_replaced_by_the_same_folders(self):
        with open(os.path.join(_ROOT, "offline/offline.bazelrc"), encoding="utf-8") as file:
            lines = [line for line in file.read().splitlines() if "override_" in line]
        folders = {"module": {}, "repository": {}}
        for line in lines:
            kind, name, folder = re.fullmatch(
                r'common "--override_(\w+)=(\w+)=(%(?:bazel|checkout)%/.+)"', line
            ).groups()
            folders[kind][name] = folder
        del folders["repository"]["awq_rules_setup"]  # WORKSPACE alone has it
        self.assertEqual(folders["module"], folders["repository"])
        self.assertGreater(len(folders["module"]), 5)


if __name__ == "__main__":
    unittest.main()

"""MODULE.bazel, which can load nothing, names the same versions as the table."""

from __future__ import annotations

import os
import pathlib
import re

MODULE = pathlib.Path(os.environ["MODULE"]).read_text()
VERSIONS = pathlib.Path(os.environ["VERSIONS"]).read_text()


def test_rules_have_the_tables_versions() -> None:
    module = dict(re.findall(r'bazel_dep\(name = "(\w+)", version = "([\d.]+)"\)', MODULE))
    table = dict(re.findall(r'"(\w+)": _archive\(\s*version = "([\d.]+)"', VERSIONS))
    assert module, "MODULE.bazel names no dependency"
    assert module == {name: table.get(name) for name in module}
    # Each address contains the version it is said to be of.
    assert len(re.findall(r'url = "\S*\{version\}\S*"', VERSIONS)) == len(table)


def test_module_registers_every_python() -> None:
    versions = re.search(r"PYTHON_VERSIONS = \[(.*?)\]", VERSIONS)
    assert versions
    assert re.findall(r'python_version = "([\d.]+)"', MODULE) == re.findall(r'"([\d.]+)"', versions[1])

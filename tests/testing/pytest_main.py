"""Runs pytest on the given files: the main program of every Bazel test.

All tests skipped counts as success, with the reasons printed and reported through `$XML_OUTPUT_FILE`; no test found
at all is a failure. Bazel's `--test_filter` (`$TESTBRIDGE_TEST_ONLY`) becomes pytest's `-k`.
"""

from __future__ import annotations

import os
import pathlib
import sys


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 if every test passed or was skipped."""
    import pytest

    here = pathlib.Path(__file__).resolve().parent.parent
    # The tests import `testing`, the product's Python lies beside them; neither is a package of the other.
    for folder in (here.parent / "python", here):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    options = ["-p", "no:cacheprovider", "-ra", "--strict-markers", f"--rootdir={here}", "-c", os.devnull]
    report = os.environ.get("XML_OUTPUT_FILE")
    if report:
        options.append(f"--junit-xml={report}")
    only = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if only:
        options += ["-k", only]
    files = [argument if argument.startswith("-") else _located(argument, here) for argument in arguments]
    # pytest answers 5 when it collected nothing and 0 when all it found was skipped, which is what is wanted here.
    return int(pytest.main(options + files))


def _located(name: str, tests: pathlib.Path) -> str:
    """A test file as named, or by its base name in the folder of the tests (Bazel passes paths from its root)."""
    return name if pathlib.Path(name).exists() else str(tests / pathlib.Path(name).name)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: pytest_main.py TEST_FILE...")
    sys.exit(main(sys.argv[1:]))

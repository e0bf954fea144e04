"""The kernel libraries hold no name that depends on where the sources lie.

nvcc puts a hash of the source's real path into the names of anonymous namespaces and of device variables with internal
linkage, so either makes two checkouts give different bits.
"""

from __future__ import annotations

import os
import pathlib
import re

import pytest

LIBRARIES = [name for name in os.environ["LIBRARIES"].split() if name.endswith(".a")]


def test_there_are_libraries() -> None:
    assert len(LIBRARIES) >= 7


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_name_holds_a_path_s_hash(library: str) -> None:
    data = pathlib.Path(library).read_bytes()
    found = re.findall(rb"_(?:GLOBAL__N|INTERNAL)__?[0-9a-f]{8}_[\w$]*", data)
    names = sorted({name.decode() for name in found})
    assert not names, f"{library}: {names[:5]}; see csrc/README.md"

"""The generated pages are those that the sources give."""

from __future__ import annotations

import difflib
import pathlib

import pytest
import update

PAGES = update.pages()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name: str) -> None:
    path = pathlib.Path(update.FOLDER) / name
    here = path.read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(here, PAGES[name].splitlines(), str(path), "generated", lineterm="")
    difference = "\n".join(lines)
    assert not difference, f"{difference}\n./bazelw run //docs:update writes it anew."

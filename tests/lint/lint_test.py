"""The source tree is formatted and passes the static checks; links in its documents lead somewhere."""

from __future__ import annotations

import pathlib
import re

import tools

MEND = "\n./bazelw run //tests/lint:format mends formatting and what can be mended by itself."


def check(command: list[str]) -> None:
    result = tools.run(command)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}{MEND}"


def test_clang_format() -> None:
    check([*tools.clang_format(), "--dry-run", "--Werror", *tools.tree(*tools.CPP)])


def test_ruff_format() -> None:
    check([*tools.ruff(), "format", "--no-cache", "--diff", *tools.tree(*tools.PYTHON)])


def test_ruff_check() -> None:
    check([*tools.ruff(), "check", "--no-cache", *tools.tree(*tools.PYTHON)])


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors that a Markdown viewer gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links() -> None:
    broken = []
    for name in tools.tree("*.md"):
        page = tools.ROOT / name
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if path.startswith(("http:", "https:")):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{name}: {link}")
    assert broken == []

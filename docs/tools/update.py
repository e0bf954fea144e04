"""Writes the generated pages of docs/reference anew: ./bazelw run //docs:update."""

from __future__ import annotations

import os
import pathlib

import graph
import reference

FOLDER = "docs/reference"
SETTINGS = "[settings.md](../settings.md)"


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {
        "awq_kernels.md": reference.python_package(),
        "build.md": reference.bzl_files(
            "Macros, rules and flags",
            f"For BUILD files. What the flags can be, and what they are by default: {SETTINGS}.",
            "bazel",
        )
        + "\n"
        + reference.flags("config/BUILD.bazel"),
        "modules.md": reference.extension_modules(),
        "targets.md": graph.page(pathlib.Path(os.environ["TARGETS"])),
    }


def main() -> None:
    """Writes them into the source tree."""
    folder = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]) / FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{FOLDER}/{name} is new")


if __name__ == "__main__":
    main()

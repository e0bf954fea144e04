"""Executes the workspace's .bzl files as Python, so that the doctor has the build's own tables, checks and searches.

The two languages share their syntax as far as those files go. What only a build can do (declare rules, make targets) is
accepted when a file is loaded and does nothing.
"""

from __future__ import annotations

import json
import pathlib
from types import SimpleNamespace
from typing import Any, NoReturn

Namespace = dict[str, Any]


class Failure(Exception):
    """A .bzl file called fail()."""


class _Declaration:
    """Stands for rules, attributes and providers: takes anything and does nothing."""

    def __call__(self, *_: object, **__: object) -> _Declaration:
        return self

    def __getattr__(self, _: str) -> _Declaration:
        return self


def _fail(*parts: object) -> NoReturn:
    raise Failure(" ".join(str(part) for part in parts))


_BUILTINS: Namespace = {
    "Label": str,
    "fail": _fail,
    "json": SimpleNamespace(decode=json.loads, encode=json.dumps),
    "struct": SimpleNamespace,
    **dict.fromkeys(["attr", "native", "provider", "repository_rule", "rule", "select"], _Declaration()),
}


class Workspace:
    """The .bzl files below a folder, each executed once."""

    def __init__(self, root: pathlib.Path, stand_ins: dict[str, Namespace] | None = None) -> None:
        """Takes the workspace's folder and, by label, what stands for files of other repositories."""
        self._root = root
        self._loaded: dict[str, Namespace] = dict(stand_ins or {})

    def load(self, label: str) -> Namespace:
        """Executes the file that a label such as //bazel/lib:checks.bzl names and returns its globals."""
        if label not in self._loaded:
            self._loaded[label] = self._execute(label)
        return self._loaded[label]

    def _execute(self, label: str) -> Namespace:
        if not label.startswith("//"):
            raise Failure(f"{label} lies outside the workspace")
        package, _, name = label.removeprefix("//").partition(":")
        path = self._root / package / name
        namespace: Namespace = {"__name__": label, **_BUILTINS}

        def load(other: str, *names: str, **renamed: str) -> None:
            source = self.load(f"//{package}{other}" if other.startswith(":") else other)
            namespace.update({name: source[name] for name in names})
            namespace.update({name: source[original] for name, original in renamed.items()})

        namespace["load"] = load
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
        return namespace

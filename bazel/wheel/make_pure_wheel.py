"""Writes a wheel of plain Python modules. Run by pure_wheel.bzl; the standard library alone.

    make_pure_wheel.py DESCRIPTION.json OUTPUT.whl

Same input, same bits, as make_wheel.py has it.
"""

from __future__ import annotations

import json
import pathlib
import sys

from make_wheel import write_wheel


def main(description: str, output: str) -> None:
    """Writes the wheel that the description tells of."""
    wanted = json.loads(pathlib.Path(description).read_text(encoding="utf-8"))
    name, version = wanted["distribution"], wanted["version"]
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {target: pathlib.Path(source).read_bytes() for target, source in wanted["files"].items()}
    metadata = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: {wanted['summary']}",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        f"Requires-Python: >={wanted['requires_python']}",
        *(f"Requires-Dist: {requirement}" for requirement in wanted["requires"]),
        "",
    ]
    files[f"{info}/METADATA"] = "\n".join(metadata).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: {name}\nRoot-Is-Purelib: true\nTag: py3-none-any\n".encode()
    )
    files[f"{info}/licenses/LICENSE"] = pathlib.Path(wanted["license"]).read_bytes()
    write_wheel(pathlib.Path(output), files, info)


if __name__ == "__main__":
    main(*sys.argv[1:])

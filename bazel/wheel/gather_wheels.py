"""Gathers wheels into one folder, with a manifest and an index for pip.

    gather_wheels.py DESCRIPTION OUTPUT

DESCRIPTION is a JSON list with one entry for each wheel: the `folder` that holds it, the `cuda` version of its toolkit
and its `architectures`. A wheel whose version has no local part lies in OUTPUT itself. The others lie in folders of
their own, such as cu12 and torch2.6, because pip prefers a local version, whether or not it fits. Each folder has an
index.html. manifest.json has one entry for each wheel, sorted by path.
"""

import collections
import hashlib
import html
import json
import pathlib
import re
import sys
import urllib.parse
import zipfile


def group(name: str) -> str:
    """The folder of a wheel: "" without a local version, cu12, or torch2.6 for +torch2.6.0cu124."""
    local = name.split("-")[1].partition("+")[2]
    found = re.match(r"cu\d+$|torch\d+\.\d+", local)
    return found[0] if found else ""


def requirement(wheel: pathlib.Path) -> str:
    """What the wheel requires of PyTorch, such as torch>=2.11."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    [found] = [line.split(": ")[1] for line in lines if line.startswith("Requires-Dist: torch")]
    return found


def index(wheels: dict[str, str]) -> str:
    """The page of a folder, from the SHA-256 by file name."""
    links = "".join(
        f'<a href="{urllib.parse.quote(name)}#sha256={digest}">{html.escape(name)}</a><br>\n'
        for name, digest in sorted(wheels.items())
    )
    return f"<!DOCTYPE html>\n<html><head><title>awq-kernels</title></head><body>\n{links}</body></html>\n"


def main(description: str, output: str) -> None:
    """Writes the folder."""
    out = pathlib.Path(output)
    manifest = []
    folders: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for row in json.loads(pathlib.Path(description).read_text(encoding="utf-8")):
        [wheel] = pathlib.Path(row["folder"]).glob("*.whl")
        data = wheel.read_bytes()
        folder = group(wheel.name)
        if wheel.name in folders[folder]:
            raise SystemExit(f"two wheels are called {wheel.name}")
        folders[folder][wheel.name] = hashlib.sha256(data).hexdigest()
        (out / folder).mkdir(exist_ok=True)
        (out / folder / wheel.name).write_bytes(data)
        manifest.append(
            {
                "path": f"{folder}/{wheel.name}".lstrip("/"),
                "sha256": folders[folder][wheel.name],
                "bytes": len(data),
                "requires": requirement(wheel),
                "cuda": row["cuda"],
                "architectures": row["architectures"],
            }
        )
    manifest.sort(key=lambda entry: str(entry["path"]))
    (out / "manifest.json").write_text(json.dumps({"wheels": manifest}, indent=2) + "\n", encoding="utf-8")
    for folder, wheels in folders.items():
        (out / folder / "index.html").write_text(index(wheels), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The folder of all wheels: its manifest, and what pip takes from it."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(os.environ["WHEELS"])
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())["wheels"]


def test_the_manifest_says_what_is_there() -> None:
    assert [entry["path"] for entry in MANIFEST] == sorted(
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.whl")
    )
    for entry in MANIFEST:
        data = (FOLDER / entry["path"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"])
    assert [entry["requires"] for entry in MANIFEST] == ["torch>=2.11", "torch==2.11.0"]
    assert {entry["cuda"] for entry in MANIFEST} == {os.environ["CUDA"]}
    assert all(entry["architectures"] for entry in MANIFEST)


@pytest.mark.parametrize("place", ["", "index.html"])
@pytest.mark.parametrize(("folder", "form"), [(".", "abi3"), ("torch2.11", "cpython")])
def test_pip_installs_from_a_folder(folder: str, form: str, place: str, tmp_path: pathlib.Path) -> None:
    links = FOLDER / folder / place
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    target = ["--target", str(tmp_path), "--find-links", str(links), "awq-kernels"]
    done = subprocess.run(command + target, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.so")} == {form}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""A disk cache that checkouts share: who finds what in it, another compiler, damaged files."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
from collections.abc import Iterator

import pytest
import workspace

# A compilation and link by the machine's compiler, and a small kernel library.
TARGETS = ["//toolchains/cc/host:sample", "//csrc/quantization"]
OUTPUTS = ["toolchains/cc/host/sample", "csrc/quantization/*.a"]


@pytest.fixture(scope="module")
def cache() -> str:
    """The option that names the cache."""
    return f"--disk_cache={workspace.scratch() / 'disk-cache'}"


@pytest.fixture(scope="module")
def first(cache: str) -> Iterator[workspace.Checkout]:
    """A checkout whose build filled the cache."""
    with workspace.Checkout("first") as checkout:
        result = checkout.build(cache, *TARGETS)
        assert result.returncode == 0, result.stdout[-4000:]
        assert set(checkout.runners()) == {"linux-sandbox"}
        yield checkout


def outputs(checkout: workspace.Checkout) -> dict[str, bytes]:
    found = {name: data for pattern in OUTPUTS for name, data in checkout.outputs(pattern).items()}
    assert len(found) == 2
    return found


def test_a_second_checkout_runs_no_compile_action(cache: str, first: workspace.Checkout) -> None:
    with workspace.Checkout("second") as other:
        result = other.build(cache, *TARGETS)
        assert result.returncode == 0, result.stdout[-4000:]
        assert set(other.runners()) == {"disk cache hit"}
        assert outputs(other) == outputs(first)


def test_another_compiler_finds_nothing(cache: str, first: workspace.Checkout) -> None:
    """The compiler's file differs, and nothing else does: its path is not what tells compilers apart."""
    real = shutil.which("gcc")
    assert real
    folder = workspace.scratch() / "compiler"
    folder.mkdir()
    for version, expected in (("1", "linux-sandbox"), ("1", "disk cache hit"), ("2", "linux-sandbox")):
        compiler = folder / "gcc"
        compiler.write_text(f'#!/bin/sh\n# release {version}\nexec {real} "$@"\n')
        compiler.chmod(0o755)
        with workspace.Checkout(f"upgraded-{version}-{expected.split()[0]}", {"CC": str(compiler)}) as other:
            result = other.build(cache, *TARGETS)
            assert result.returncode == 0, result.stdout[-4000:]
            assert set(other.runners()) == {expected}
            assert outputs(other) == outputs(first)


def test_damaged_files_are_noticed(cache: str, first: workspace.Checkout) -> None:
    folder = pathlib.Path(cache.partition("=")[2])
    good = outputs(first)
    damaged = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() in good.values()]
    assert len(damaged) == 2
    for path in damaged:
        data = path.read_bytes()
        os.chmod(path, 0o644)
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with workspace.Checkout("third") as other:
        result = other.build(cache, *TARGETS)
        messages = re.findall(r"Expected digest '\w+/\d+' does not match received digest", result.stdout)
        assert messages, result.stdout[-4000:]
        if result.returncode == 0:
            assert outputs(other) == good

"""A disk cache that checkouts and distributions share: who finds what in it, another compiler, damaged files."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator

import pytest
import workspace
from roots import Root

# A compilation and a link, and a small kernel library.
TARGETS = ["//toolchains/cc:sample", "//csrc/quantization"]
OUTPUTS = ["toolchains/cc/sample", "csrc/quantization/*.a"]


@pytest.fixture(scope="module")
def cache() -> str:
    """The option that names the cache."""
    return f"--disk_cache={workspace.scratch() / 'disk-cache'}"


@pytest.fixture(scope="module")
def first(cache: str) -> Iterator[workspace.Checkout]:
    """A checkout whose build filled the cache, with actions in a Debian 11 without compiler."""
    with workspace.Checkout("first") as checkout:
        result = checkout.build(cache, *Root("bullseye").sandbox(), *TARGETS)
        assert result.returncode == 0, result.stdout[-4000:]
        assert set(checkout.runners()) == {"linux-sandbox"}
        yield checkout


def outputs(checkout: workspace.Checkout) -> dict[str, bytes]:
    found = {name: data for pattern in OUTPUTS for name, data in checkout.outputs(pattern).items()}
    assert len(found) == 2
    return found


@pytest.mark.parametrize("distribution", ["this machine", "trixie"])
def test_another_distribution_runs_no_compile_action(distribution: str, cache: str, first: workspace.Checkout) -> None:
    root = [] if distribution == "this machine" else Root(distribution).sandbox()
    with workspace.Checkout(f"second-{distribution.split()[0]}") as other:
        result = other.build(cache, *root, *TARGETS)
        assert result.returncode == 0, result.stdout[-4000:]
        assert set(other.runners()) == {"disk cache hit"}
        assert outputs(other) == outputs(first)
        # Nothing but the cache made them the same.
        result = other.build("--disk_cache=", "--nouse_action_cache", *root, *TARGETS)
        assert result.returncode == 0, result.stdout[-4000:]
        assert set(other.runners()) == {"linux-sandbox"}
        assert outputs(other) == outputs(first)


def test_another_compiler_of_the_machine_finds_nothing(cache: str) -> None:
    """With --config=host_gcc: the file differs and nothing else does. Its path is not what tells compilers apart."""
    real = pathlib.Path("/usr/bin/gcc")
    if not real.exists():
        pytest.skip("this machine has no gcc")
    made: dict[str, bytes] = {}
    folder = workspace.scratch() / "compiler"
    folder.mkdir()
    for version, expected in (("1", "linux-sandbox"), ("1", "disk cache hit"), ("2", "linux-sandbox")):
        compiler = folder / "gcc"
        compiler.write_text(f'#!/bin/sh\n# release {version}\nexec {real} "$@"\n')
        compiler.chmod(0o755)
        with workspace.Checkout(f"upgraded-{version}-{expected.split()[0]}", {"CC": str(compiler)}) as other:
            result = other.build(cache, "--config=host_gcc", *TARGETS)
            assert result.returncode == 0, result.stdout[-4000:]
            assert set(other.runners()) == {expected}
            made = made or outputs(other)
            assert outputs(other) == made


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

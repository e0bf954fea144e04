"""Builds against a real remote execution service: what runs where, who finds what cached, what faults lead to.

One build of everything through the service fills its cache; the other cases look at small parts of it from checkouts of
their own.
"""

from __future__ import annotations

import collections
import os
import pathlib
import re
import signal
import time
from collections.abc import Iterator

import pytest
import services
import workspace
from roots import Root

# The modules, the wheel and every kernel library, without bfloat16, which would double the work and show nothing more.
EVERYTHING = ["--//config:bf16=false", "//:wheel", "//csrc/...", "//toolchains/cc:sample"]
SMALL = ["--//config:bf16=false", "//csrc/activation"]


@pytest.fixture(scope="module")
def service() -> Iterator[services.Services]:
    services.installed()
    with services.Services(workspace.scratch() / "service") as running:
        yield running


@pytest.fixture(scope="module")
def first(service: services.Services) -> Iterator[tuple[workspace.Checkout, dict[str, list[str]]]]:
    """A checkout after its build of everything, and where its compile actions ran."""
    with workspace.Checkout("first") as checkout:
        started = time.monotonic()
        result = checkout.build("--config=remote", f"--remote_executor={service.address}", "--jobs=4", *EVERYTHING)
        assert result.returncode == 0, result.stdout[-6000:]
        runners = checkout.runners()
        note_build("first, remote", time.monotonic() - started, runners)
        yield checkout, runners


def note(text: str) -> None:
    """Keeps a figure among the test's outputs, in bazel-testlogs."""
    with open(pathlib.Path(os.environ["TEST_UNDECLARED_OUTPUTS_DIR"]) / "figures.txt", "a") as file:
        file.write(text + "\n")


def note_build(name: str, seconds: float, runners: dict[str, list[str]]) -> None:
    counts = {runner: dict(collections.Counter(mnemonics)) for runner, mnemonics in runners.items()}
    note(f"{name}: {seconds:.0f} s, {counts}")


def test_every_compile_action_runs_remotely(first: tuple[workspace.Checkout, dict[str, list[str]]]) -> None:
    _, runners = first
    assert set(runners) == {"remote"}
    counts = collections.Counter(runners["remote"])
    assert counts["CudaCompile"] >= 15 and counts["CppCompile"] >= 12 and counts["CppLink"] >= 3


def test_another_client_runs_nothing(
    service: services.Services, first: tuple[workspace.Checkout, dict[str, list[str]]]
) -> None:
    checkout, ran = first
    with workspace.Checkout("second") as other:
        started = time.monotonic()
        result = other.build("--config=remote", f"--remote_executor={service.address}", "--jobs=4", *EVERYTHING)
        assert result.returncode == 0, result.stdout[-6000:]
        found = other.runners()
        note_build("second, remote", time.monotonic() - started, found)
        assert set(found) == {"remote cache hit"}
        assert sorted(found["remote cache hit"]) == sorted(ran["remote"])
        wheel = checkout.outputs("python/universal/wheel/*.whl")
        assert wheel and other.outputs("python/universal/wheel/*.whl") == wheel


def test_a_cache_alone_serves_what_was_executed_remotely(
    service: services.Services, first: tuple[workspace.Checkout, dict[str, list[str]]]
) -> None:
    """Local and remote actions have the same keys, so a client without workers shares their results."""
    with workspace.Checkout("third") as other:
        result = other.build("--config=cache", f"--remote_cache={service.address}", *SMALL)
        assert result.returncode == 0, result.stdout[-6000:]
        assert set(other.runners()) == {"remote cache hit"}


def small_build(checkout: workspace.Checkout, *options: str) -> tuple[int, str, set[str]]:
    """Exit status, output and runners of a build of one kernel library with downloaded results."""
    result = checkout.build(*options, "--remote_download_outputs=all", *SMALL)
    return result.returncode, result.stdout, set(checkout.runners())


def archives(checkout: workspace.Checkout) -> dict[str, bytes]:
    return checkout.outputs("csrc/activation/*.a")


def test_corrupted_files_in_the_cache_are_noticed(
    service: services.Services, first: tuple[workspace.Checkout, dict[str, list[str]]]
) -> None:
    """A file whose content is not what its name says never gets into a build."""
    with workspace.Checkout("fourth") as other:
        status, output, _ = small_build(other, "--config=cache", f"--remote_cache={service.address}")
        assert status == 0, output[-4000:]
        good = archives(other)
        [archive] = good.values()
        poisoned = [path for path in service.cas.rglob("*") if path.is_file() and path.read_bytes() == archive]
        assert poisoned, "the archive is not in the service's storage"
        for path in poisoned:
            path.chmod(0o644)
            path.write_bytes(archive[:-1] + bytes([archive[-1] ^ 1]))
        other.bazel("clean")
        status, output, runners = small_build(other, "--config=cache", f"--remote_cache={service.address}")
        for path in poisoned:
            path.write_bytes(archive)
        note(f"corrupted file: exit status {status}, {runners}")
        note("\n".join(line for line in output.splitlines() if "igest" in line)[:2000])
        if status == 0:
            assert archives(other) == good
        else:
            assert re.search(r"digest|checksum|hash", output, re.IGNORECASE), output[-3000:]


def wait_for_compilation(log: pathlib.Path) -> None:
    """Waits until the service's worker has something to do."""
    before = log.read_text().count("\n")
    deadline = time.monotonic() + 300  # Bazel starts, analyses and unpacks the compiler first
    while time.monotonic() < deadline:
        if log.read_text().count("\n") > before:
            return
        time.sleep(0.2)
    raise AssertionError("the worker got nothing to do")


def changed(checkout: workspace.Checkout, comment: str) -> None:
    """Makes the small library's actions new ones, with the same results."""
    for source in (checkout.root / "csrc/activation").glob("*.cu"):
        source.write_text(source.read_text() + f"// {comment}\n")


def test_a_worker_that_dies_is_replaced_by_one_without_a_compiler(
    service: services.Services, first: tuple[workspace.Checkout, dict[str, list[str]]]
) -> None:
    with workspace.Checkout("fifth") as other:
        changed(other, "for a worker that dies")
        options = ["--config=remote", f"--remote_executor={service.address}", "--remote_download_outputs=all"]
        build = other.start("build", *other.options(), *options, *SMALL)
        wait_for_compilation(service.log("worker"))
        service.stop("worker", signal.SIGKILL)
        service.stop("casd", signal.SIGKILL)
        service.start_worker("successor", Root("bullseye"))
        output, _ = build.communicate(timeout=400)
        assert build.returncode == 0, output[-4000:]
        assert set(other.runners()) == {"remote"}
        assert archives(other)


def test_a_cache_that_dies_costs_time_only(
    service: services.Services, first: tuple[workspace.Checkout, dict[str, list[str]]]
) -> None:
    with workspace.Checkout("sixth") as other:
        changed(other, "for a cache that dies")
        build = other.start("build", *other.options(), "--config=cache", f"--remote_cache={service.address}", *SMALL)
        time.sleep(8)
        service.stop("server", signal.SIGKILL)
        output, _ = build.communicate(timeout=400)
        service.start_server()
        assert build.returncode == 0, output[-4000:]
        assert "linux-sandbox" in other.runners()


def test_a_service_that_is_not_there_is_named(service: services.Services) -> None:
    with workspace.Checkout("seventh") as other:
        nowhere = f"grpc://127.0.0.1:{services.free_port()}"
        result = other.build("--config=remote", f"--remote_executor={nowhere}", *SMALL)
        assert result.returncode != 0
        assert re.search(r"Failed to query remote execution capabilities|UNAVAILABLE|Connection refused", result.stdout)

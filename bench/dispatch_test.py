"""What the built tables choose for many shapes on GPUs that need not be here, and that something always can run."""

from __future__ import annotations

import itertools
from pathlib import Path

import awq_tuning
import pytest
from tuning_data import FAMILIES, Measurements
from tuning_table import GENERAL, HOPPER, Row, tables

ROOT = Path(__file__).resolve().parents[1] if (Path(__file__).resolve().parents[1] / "csrc").exists() else Path.cwd()
COMMITTED = ROOT / "docs/benchmarks/h200/tuning.json"

# Multiprocessors and shared memory that a block may have, by compute capability.
DEVICES = {
    "V100": awq_tuning.Device(70, 80, 96 * 1024),
    "T4": awq_tuning.Device(75, 40, 64 * 1024),
    "A100": awq_tuning.Device(80, 108, 163 * 1024),
    "RTX 3090": awq_tuning.Device(86, 82, 99 * 1024),
    "Orin": awq_tuning.Device(87, 16, 163 * 1024),
    "RTX 4090": awq_tuning.Device(89, 128, 99 * 1024),
    "H100 PCIe": awq_tuning.Device(90, 114, 227 * 1024),
    "H200": awq_tuning.Device(90, 132, 227 * 1024),
    "B200": awq_tuning.Device(100, 148, 227 * 1024),
    "RTX 5090": awq_tuning.Device(120, 170, 99 * 1024),
}
M = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 128, 129, 300, 384, 1000, 4097, 100_000, 2**31 - 1)
N = (4, 8, 12, 28, 32, 36, 100, 128, 1000, 4096, 4100, 14336, 28672, 152064, 2**31 - 8)
K = (64, 128, 192, 1024, 4096, 4160, 14336, 28672, 131072)
BUILT = {family: {entry[0]: entry for entry in awq_tuning.configurations(family)} for family in FAMILIES}
# These are chosen for decoding by rows of their own, in dispatch.cc, ahead of the tables.
STREAMS, SMALL_BLOCKS = "GemvSm90", "SingleRowGemvSmall"
HAS_HOPPER = any(entry[1] == 90 for entry in BUILT["w4a16"].values())


def problems(m: int, n: int, k: int) -> list[tuple[str, awq_tuning.Problem]]:
    """Every kind of product that has these sizes."""
    found = [("w8a8", awq_tuning.w8a8(m, n, k)), ("w8a8", awq_tuning.w8a8(m, n + 1, k))]
    for group_size in (32, 64, 128, 256):
        if k % group_size == 0:
            found.append(("w4a16", awq_tuning.w4a16_v2(m, n, k, group_size)))
            if group_size >= 64:
                groups = -(-k // group_size // 16) * 16
                found.append(("w4a16", awq_tuning.w4a16_v1(m, n, k, group_size, groups)))
    return found


@pytest.mark.parametrize("name", DEVICES)
def test_something_serves_every_problem(name: str) -> None:
    device = DEVICES[name]
    for m, n, k in itertools.product(M, N, K):
        for family, problem in problems(m, n, k):
            choice = problem.choose(device)
            if family == "w8a8" and m * n > 2**40:
                continue  # so many tiles that a grid cannot count them, and results that no memory holds
            assert choice is not None, (family, m, n, k)
            configuration, parts, workspace_bytes = choice
            _, arch, _, channels, smem_bytes = BUILT[family][configuration]
            assert arch in (0, device.arch), choice
            assert smem_bytes <= device.max_smem_bytes_per_block, choice
            assert parts >= 1 and workspace_bytes >= 0
            if arch and family == "w8a8":
                assert parts % 8 == 0 and parts <= channels, choice  # channels of a tile
            elif parts > 1:
                # Partial sums in fp32 or int32 for every part.
                assert workspace_bytes >= 4 * parts * m * n, choice
                assert workspace_bytes < 2**30, choice
            else:
                assert workspace_bytes == 0, choice


@pytest.mark.parametrize("family", FAMILIES)
def test_the_built_tables_are_read_as_the_tool_reads_them(family: str) -> None:
    measurements = Measurements.load(COMMITTED)
    found = tables(measurements, family)
    device = DEVICES["H200"]
    assert device.sm_count == measurements.sm_count
    table: list[Row] = (found[HOPPER] if HAS_HOPPER else []) + found[GENERAL]
    for point in measurements.points:
        shape = point.shape
        if shape.family != family or shape.kind == "v2_bf16":
            continue
        if shape.kind == "w8a8":
            problem = awq_tuning.w8a8(shape.m, shape.n, shape.k)
        elif shape.kind == "v1":
            problem = awq_tuning.w4a16_v1(shape.m, shape.n, shape.k, shape.group_size, shape.k // shape.group_size)
        else:
            problem = awq_tuning.w4a16_v2(shape.m, shape.n, shape.k, shape.group_size)
        choice = problem.choose(device)
        assert choice is not None
        if choice[0].startswith(STREAMS):
            assert HAS_HOPPER and shape.m <= 8 and shape.k <= 4096 and shape.n >= 20_000, shape.name
            continue
        if choice[0] == SMALL_BLOCKS:
            assert HAS_HOPPER and shape.m == 1 and 4224 < shape.n < 8600, shape.name
            continue
        expected = next(
            cut
            for row in table
            if row.holds(shape, device.sm_count)
            and (cut := problem.cut(row.choice.configuration, row.choice.waves, device)) is not None
        )
        assert choice == expected, shape.name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_measured_configurations_are_those_of_the_build(family: str) -> None:
    measured = Measurements.load(COMMITTED).configurations[family]
    of_the_build = {
        name: (arch, tokens, channels, smem) for name, arch, tokens, channels, smem in awq_tuning.configurations(family)
    }
    for name, entry in measured.items():
        if HAS_HOPPER or entry.arch == 0:
            assert of_the_build.pop(name) == (entry.arch, entry.tokens, entry.channels, entry.smem_bytes)
    of_the_build = {name: entry for name, entry in of_the_build.items() if not name.startswith((STREAMS, SMALL_BLOCKS))}
    assert not of_the_build, "configurations that were not measured: run //bench:tune"


def test_sizes_that_the_contract_refuses_have_no_choice() -> None:
    device = DEVICES["H200"]
    assert awq_tuning.w4a16_v2(1, 6, 128, 128).choose(device) is None
    assert awq_tuning.w4a16_v2(1, 8, 96, 32).choose(device) is None
    assert awq_tuning.w4a16_v2(1, 8, 128, 48).choose(device) is None
    assert awq_tuning.w8a8(1, 8, 24).choose(device) is None
    assert awq_tuning.w4a16_v2(1, 8, 128, 128, bfloat16=True).choose(DEVICES["T4"]) is None


@pytest.mark.parametrize("name", DEVICES)
def test_attention_divides_what_it_can(name: str) -> None:
    device = DEVICES[name]
    for batch, (heads, kv_heads), length in itertools.product(
        (1, 3, 8, 200), ((32, 32), (32, 8), (20, 2)), (1, 512, 32768)
    ):
        for timestep in (0, length // 2, length - 1, 4 * length):
            splits, clustered, exclusive, workspace_bytes = awq_tuning.attention_plan(
                batch, heads, kv_heads, 128, length, timestep, device
            )
            filled = min(timestep + 1, length)
            assert 1 <= splits <= max(1, filled // 64)  # a piece has 64 slots at least
            assert not clustered or 1 < splits <= 8
            head_tiles = -(-heads // kv_heads // 8)
            assert not exclusive or batch * kv_heads * head_tiles * splits <= device.sm_count
            assert not exclusive or device.max_smem_bytes_per_block > 99 * 1024
            # Of each piece a mean and the logarithm of a sum.
            assert workspace_bytes == (4 * batch * heads * splits * (128 + 1) if splits > 1 else 0)

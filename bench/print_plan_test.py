"""AWQ_PRINT_PLAN=1 says which kernel a call chose, once per problem. Plans need no GPU."""

from __future__ import annotations

import os

import pytest

os.environ["AWQ_PRINT_PLAN"] = "1"  # read when the first plan is made

import awq_tuning

A100 = awq_tuning.Device(80, 108, 163 * 1024)


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("AWQ_PRINT_PLAN ")]


def test_a_problem_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    for m in (1, 7, 1):
        awq_tuning.w4a16_v2(m, 4096, 4096, 128).choose(A100)
    awq_tuning.w4a16_v2(7, 4096, 4096, 128).choose(A100)
    awq_tuning.w4a16_v2(7, 4096, 4096, 64).choose(A100)
    assert lines(capfd) == [
        "AWQ_PRINT_PLAN 4-bit v2 float16 M=1 N=4096 K=4096 G=128 on sm_80 with 108 SMs: "
        "SingleRowGemv, 1 part of K, 0 bytes of workspace",
        "AWQ_PRINT_PLAN 4-bit v2 float16 M=7 N=4096 K=4096 G=128 on sm_80 with 108 SMs: "
        "Gemv8Medium, 1 part of K, 0 bytes of workspace",
        "AWQ_PRINT_PLAN 4-bit v2 float16 M=7 N=4096 K=4096 G=64 on sm_80 with 108 SMs: "
        "Gemv8Medium, 1 part of K, 0 bytes of workspace",
    ]


def test_what_is_printed_is_the_choice(capfd: pytest.CaptureFixture[str]) -> None:
    for kind, problem in (
        ("4-bit v1 float16 M=32 N=1024 K=8192 G=128", awq_tuning.w4a16_v1(32, 1024, 8192, 128, 64)),
        ("8-bit M=128 N=1024 K=8192", awq_tuning.w8a8(128, 1024, 8192)),
    ):
        choice = problem.choose(A100)
        assert choice is not None
        name, parts, workspace_bytes = choice
        assert parts > 1 and workspace_bytes > 0
        said = f"{name}, {parts} parts of K, {workspace_bytes} bytes of workspace"
        assert lines(capfd) == [f"AWQ_PRINT_PLAN {kind} on sm_80 with 108 SMs: {said}"]


def test_attention_is_said_again_where_the_choice_changes(capfd: pytest.CaptureFixture[str]) -> None:
    def plan(timestep: int) -> tuple[int, bool, bool, int]:
        return awq_tuning.attention_plan(2, 32, 8, 128, 4096, timestep, A100)

    plans = {timestep: plan(timestep) for timestep in range(4096)}
    distinct = list(dict.fromkeys(plans.values()))
    said = lines(capfd)
    assert len(said) == len(distinct) > 1
    for line, (splits, clustered, exclusive, workspace_bytes) in zip(said, distinct):
        assert line.startswith("AWQ_PRINT_PLAN attention float16 B=2 H=32 Hk=8 D=128 L=4096 on sm_80 with 108 SMs: ")
        where = "" if splits == 1 else " merged in a cluster" if clustered else " merged by a second kernel"
        pieces = "1 piece" if splits == 1 else f"{splits} pieces"
        alone = ", one block to an SM" if exclusive else ""
        assert f": {pieces}{where}{alone}, {workspace_bytes} bytes of workspace (timestep " in line

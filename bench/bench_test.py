"""Tests of what needs no GPU: the table of cases, the floor, the report, the messages."""

from __future__ import annotations

import math
from pathlib import Path

import machine
import main
import pytest
import report
from cases import CASES, FUNCTIONS, GROUPS, LAYERS, Attention, Case, DecoderLayer, Linear4, Linear8, Rotary, Rows
from results import HostTime, LayerMeasurement, Measurement, Run, StepTime
from roofline import Ceilings, Work

from awq_kernels import reference

H200 = Ceilings(copy=4.3e12, fp16=731e12, int_mm=902e12)


def measurement(case: Case, us: float | None = 20.0, error: float | None = 2e-4, failure: str = "") -> Measurement:
    work = case.problem.work
    return Measurement(
        name=case.name,
        group=case.group,
        function=case.function,
        coordinates=case.problem.coordinates,
        bytes=work.bytes,
        operations=work.operations,
        unit=work.unit,
        target_us=case.target_us,
        reference_us=case.reference_us,
        floor_us=H200.floor_us(work),
        us=us,
        peers={"peer": 40.0} if us else {},
        error=error,
        failure=failure,
    )


def layer_measurement(problem: DecoderLayer, error: float | None = 1e-3) -> LayerMeasurement:
    steps = [StepTime(name, H200.floor_us(work), 1 + H200.floor_us(work)) for name, work in problem.steps.items()]
    return LayerMeasurement(problem.coordinates, steps, us=80.0, pytorch_us=160.0, error=error)


def run_of(*measurements: Measurement) -> Run:
    host = [HostTime("silu_and_mul", {"T": "1"}, 5.25, {"F.silu, mul": 9.5})]
    machine, command = {"GPU": "NVIDIA H200, 132 SMs"}, ["bench", "--out", "a b"]
    return Run(machine, command, "float16", H200, list(measurements), host, [*map(layer_measurement, LAYERS)])


# ---- cases ----------------------------------------------------------------------------------------------------------


def test_every_function_has_cases() -> None:
    assert FUNCTIONS == set(reference.__all__)


def test_names_are_unique_and_without_spaces() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert not any(" " in name for name in names)
    assert "w4a16/gemm_forward_cuda_new/N,K=28672x4096,M=16" in names
    assert "attention/ft_attention.single_query_attention/B=1,length=512,H/Hk=32/8" in names


def test_every_group_has_cases_of_equal_coordinates() -> None:
    assert {case.group for case in CASES} == set(GROUPS)
    for group in GROUPS:
        coordinates = {tuple(case.problem.coordinates) for case in CASES if case.group == group}
        assert len(coordinates) == 1, f"columns of {group}"


def test_bandwidth_bound_functions_have_a_case_of_one_token() -> None:
    rows = [case for case in CASES if case.group == "rows"]
    single = {case.function for case in rows if isinstance(case.problem, Rows | Rotary) and case.problem.tokens == 1}
    assert single == {case.function for case in rows}


def test_rows_decide_between_gemv_and_gemm() -> None:
    for case in CASES:
        if isinstance(case.problem, Linear4) and case.problem.layout == 2:
            assert (case.function == "gemv_forward_cuda_new") == (case.problem.m < 8)


def test_bfloat16_leaves_out_what_takes_float16_alone() -> None:
    bf16 = {case.function for case in CASES if "bfloat16" in case.dtypes}
    assert "gemm_forward_cuda_new" in bf16
    assert not bf16 & {"gemm_forward_cuda", "w8a8_gemm_forward_cuda", "gelu_and_quant"}


# ---- floor ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "bytes_", "operations"),
    [
        # 8 * 128 codes of half a byte, 8 groups with scale and zero point, x and the result
        (Linear4(8, 128, 3, layout=2), 512 + 8 * 4 + 2 * 3 * (8 + 128), 2 * 3 * 8 * 128),
        # the zero point in half a byte
        (Linear4(8, 128, 3, layout=1), 512 + 8 * 5 // 2 + 2 * 3 * (8 + 128), 2 * 3 * 8 * 128),
        (Linear8(8, 32, 3, bias=False), 8 * 32 + 3 * 32 + 2 * (8 + 3) + 2 * 3 * 8, 2 * 3 * 8 * 32),
        (Linear8(8, 32, 3, bias=True), 8 * 32 + 3 * 32 + 2 * (8 + 8 + 3) + 2 * 3 * 8, 2 * 3 * 8 * 32),
        # both caches; q and the result, k and v
        (Attention(2, 10, 4, 2, 64), 2 * 2 * (2 * 2 * 10 * 64) + 2 * 2 * 64 * (4 + 4 + 2 + 2), 4 * 2 * 4 * 10 * 64),
        (Rows(3, 100, 6), 1800, 0),
        (Rotary(3, 4, 64, 2, 10), 3 * (2 * 4 * 64 * 2 * 2 + 10), 0),
    ],
)
def test_work(problem: Linear4 | Linear8 | Attention | Rows | Rotary, bytes_: int, operations: int) -> None:
    assert (problem.work.bytes, problem.work.operations) == (bytes_, operations)


@pytest.mark.parametrize(
    ("problem", "floor_us"),
    [
        (Linear4(28672, 4096, 4096, layout=2), 1316),
        (Linear4(4096, 14336, 1, layout=2), 7.3),
        (Attention(8, 8192, 32, 8), 63),
        (Attention(1, 4096, 32, 32), 15.8),
        (Rows(4096, 14336, 6), 83),
        (Rotary(4096, 32, 128, 1, 512), 16.3),
    ],
)
def test_floor_on_an_h200(problem: Linear4 | Attention | Rows | Rotary, floor_us: float) -> None:
    assert H200.floor_us(problem.work) == pytest.approx(floor_us, rel=0.02)


def test_floor_is_the_larger_of_memory_and_arithmetic() -> None:
    ceilings = Ceilings(copy=1e12, fp16=1e14, int_mm=1e14)
    assert ceilings.floor_us(Work(10**6)) == pytest.approx(1)
    assert ceilings.floor_us(Work(10**6, 10**9)) == pytest.approx(10)
    assert ceilings.floor_us(Work(10**7, 10**8)) == pytest.approx(10)


def test_int8_counts_at_least_twice_the_fp16_rate() -> None:
    assert Ceilings(1e12, 1e14, 1.5e14).rate("int8") == 2e14
    assert Ceilings(1e12, 1e14, 2.5e14).rate("int8") == 2.5e14


def test_a_layer_has_the_floors_of_its_steps() -> None:
    problem = DecoderLayer(1, 4096)
    assert list(problem.steps)[:3] == ["first norm", "qkv", "attention"]
    assert problem.steps["gate and up"] == Linear4(28672, 4096, 1, layout=2).work
    # 14.7 + 7.3 + 3.1 + 2.1 of products, 3.9 of attention: the table of single calls has the same figures
    assert layer_measurement(problem).floor_us == pytest.approx(31.1, rel=0.02)


def test_steps_that_were_not_timed_have_no_sum() -> None:
    steps = [StepTime("a", 1.0, 2.5), StepTime("b", 2.0, None)]
    assert LayerMeasurement({}, steps).steps_us is None
    assert LayerMeasurement({}, steps[:1]).steps_us == 2.5


# ---- report ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("us", "text"),
    [(None, "-"), (0.516, "0.52"), (9.994, "9.99"), (9.996, "10.0"), (99.94, "99.9"), (99.96, "100"), (5264.6, "5265")],
)
def test_format_us(us: float | None, text: str) -> None:
    assert report.format_us(us) == text


def test_markdown_table() -> None:
    assert report.markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_report_has_a_row_per_case() -> None:
    text = report.report(run_of(*map(measurement, CASES)), ["roofline.png"])
    for group in GROUPS.values():
        assert f"## {group.title}" in text
    assert len([line for line in text.splitlines() if "**20.0**" in line]) == len(CASES)
    assert "![roofline](roofline.png)" in text
    assert "bench --out 'a b'" in text
    assert "copy 4.30 TB/s" in text
    assert "| silu_and_mul | T 1 | **5.25** | 9.50 (F.silu, mul) |" in text


def test_row_of_a_table() -> None:
    case = Case("w4a16", "gemm_forward_cuda_new", Linear4(28672, 4096, 16, layout=2), 16, 50.1)
    text = report.report(run_of(measurement(case)))
    assert "| N x K | M | floor | ours | of floor | peer | reference | target | met | error |" in text
    assert "| 28672 x 4096 | 16 | 14.8 | **20.0** | 74% | 40.0 | 50.1 | 16.0 | +25% | 2.0e-04 |" in text


def test_figures_of_an_h200_are_left_out_on_other_gpus() -> None:
    case = Case("w4a16", "gemm_forward_cuda_new", Linear4(28672, 4096, 16, layout=2), 16, 50.1)
    assert case.on("NVIDIA H200") == case
    text = report.report(run_of(measurement(case.on("NVIDIA H100 80GB HBM3"))))
    assert "| N x K | M | floor | ours | of floor | peer | error |" in text
    assert "| 28672 x 4096 | 16 | 14.8 | **20.0** | 74% | 40.0 | 2.0e-04 |" in text
    assert "**1 of 1 cases measured, 0 wrong.**" in text
    assert "H200" not in text.replace("| GPU | NVIDIA H200, 132 SMs |", "")


def test_wrong_and_failed_cases_stand_out() -> None:
    case = next(case for case in CASES if case.group == "w8a8")
    failed = measurement(case, us=None, error=None, failure="RuntimeError: no such kernel")
    bad = [measurement(case, error=0.5), measurement(case, error=math.nan), failed]
    run = run_of(measurement(case), *bad)
    assert run.wrong() == bad
    text = report.report(run)
    assert "**5.0e-01**" in text and "**nan**" in text and "RuntimeError: no such kernel" in text
    assert "3 of 4 cases measured, 3 wrong" in text
    assert "FAILED: RuntimeError" in report.progress_line(failed)


def test_report_of_a_layer() -> None:
    problem = DecoderLayer(8, 4096)
    good, bad = layer_measurement(problem), layer_measurement(problem, error=math.nan)
    failed = LayerMeasurement(problem.coordinates, good.steps, failure="RuntimeError: no such kernel")
    run = Run({}, [], "float16", H200, [], [], [good, bad, failed])
    assert run.wrong_layers() == [bad, failed]
    text = report.report(run)
    floors, alone = report.format_us(good.floor_us), report.format_us(good.floor_us + 8)
    share = f"{100 * good.floor_us / 80:.0f}%"
    assert f"| 8 | 4096 | {floors} | **80.0** | {share} | {alone} | 160 | 2.00x | 1.0e-03 |" in text
    assert "**nan**" in text and "no such kernel" in text
    assert "160" in report.layer_line(good) and "FAILED" in report.layer_line(failed)


def test_results_survive_the_disk(tmp_path: Path) -> None:
    run = run_of(*map(measurement, CASES), measurement(CASES[0], us=None, error=None, failure="x"))
    run.save(tmp_path / "results.json")
    assert Run.load(tmp_path / "results.json") == run


# ---- command line ---------------------------------------------------------------------------------------------------


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--list", "--only", "^rows/silu"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rows/silu_and_mul/T=1,width=14336",
        "rows/silu_and_mul/T=4096,width=14336",
    ]


def test_nothing_matches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--only", "nonesuch"]) == 2
    assert "no float16 case matches --only nonesuch" in capsys.readouterr().err


def test_bad_expression(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main(["--only", "("])
    assert stop.value.code == 2
    assert "--only: not a regular expression" in capsys.readouterr().err


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main.main(["--out", str(tmp_path / "out")]) == 3
    assert "finds no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_modules(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(machine, "MODULES", ("awq_module_that_nobody_built",))
    assert main.main([]) == 4
    message = capsys.readouterr().err
    assert "No module named 'awq_module_that_nobody_built'" in message
    assert "./bazelw build //:awq_inference_engine //:ft_attention" in message


def test_source_folders_are_no_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "awq_sources_of_a_module").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(machine, "MODULES", ("awq_sources_of_a_module",))
    assert main.main([]) == 4
    assert "No module named 'awq_sources_of_a_module', only the folder of its sources" in capsys.readouterr().err


def test_report_from_results(tmp_path: Path) -> None:
    run_of(*map(measurement, CASES)).save(tmp_path / "results.json")
    arguments = ["--quick", "--from-results", str(tmp_path / "results.json"), "--out", str(tmp_path / "again")]
    assert main.main(arguments) == 0
    assert (tmp_path / "again" / "report.md").read_text().startswith("# Benchmark")


def test_reference_of_another_run(tmp_path: Path) -> None:
    first, second, *_ = CASES
    other = run_of(measurement(first, us=33.0, error=0.5))
    other.machine.update({"awq_inference_engine": "1.0 MB, sha256 abc", "date": "today"})
    other.save(tmp_path / "other.json")
    run_of(measurement(first), measurement(second)).save(tmp_path / "results.json")
    out = tmp_path / "out"
    files = ["--from-results", str(tmp_path / "results.json"), "--reference", str(tmp_path / "other.json")]
    assert main.main(["--quick", *files, "--out", str(out)]) == 0
    assert "(1.0 MB, sha256 abc, measured today, 1 of its results beyond the bound)" in (out / "report.md").read_text()
    assert [m.reference_us for m in Run.load(out / "results.json").measurements] == [33.0, None]


def test_results_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text("{}")
    for file in (tmp_path / "results.json", tmp_path / "missing.json"):
        with pytest.raises(SystemExit) as exit_info:
            main.main(["--reference", str(file)])
        assert exit_info.value.code == 2
        assert "argument --reference: not results that a run wrote" in capsys.readouterr().err


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from plots import write_plots

    names = write_plots(
        run_of(*(measurement(case, 4 + 1.5 * H200.floor_us(case.problem.work)) for case in CASES)), tmp_path
    )
    assert {
        "decoder_layer.png",
        "w4a16_time_over_m.png",
        "attention_over_length.png",
        "rows_bandwidth.png",
        "host_time.png",
    } < set(names)
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

"""Tests of the tuning tool that need no GPU: the committed tables, the search, the files."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
import tune
from tuning_data import FAMILIES, Choice, Configuration, Measurements, Point, Shape, shapes
from tuning_table import (
    ANY,
    GENERAL,
    Row,
    best,
    candidates,
    fallback,
    load_percent,
    look_up,
    make_table,
    regret,
    table_text,
)

ROOT = Path(__file__).resolve().parents[1] if (Path(__file__).resolve().parents[1] / "csrc").exists() else Path.cwd()
COMMITTED = ROOT / "docs/benchmarks/h200/tuning.json"
SMS = 100


def points_of(us: dict[tuple[int, int], dict[str, float]], k: int = 4096) -> list[Point]:
    """Points by (M, N); choices by `name` or `name/waves`."""

    def choice(text: str) -> Choice:
        name, _, waves = text.partition("/")
        return Choice(name, int(waves or 0))

    return [
        Point(Shape("w8a8", n, k, m, 0), {choice(text): time for text, time in times.items()})
        for (m, n), times in us.items()
    ]


@pytest.fixture(scope="session")
def committed() -> Measurements:
    return Measurements.load(COMMITTED)


def bounds_and_names(table: list[Row]) -> list[tuple[int, int, int, str]]:
    return [(*row.bounds, row.choice.configuration) for row in table]


# ---- the committed tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_committed_table_is_what_the_committed_measurements_give(family: str, committed: Measurements) -> None:
    text = (ROOT / "csrc" / family / "tuning_table.h").read_text()
    assert text == table_text(committed, family), (
        "./bazelw run //bench:tune -- --from docs/benchmarks/h200/tuning.json --out DIR writes the table"
    )


def test_committed_measurements_are_of_the_shapes_that_the_tool_measures(committed: Measurements) -> None:
    assert [point.shape for point in committed.points] == list(shapes())


# ---- the search -----------------------------------------------------------------------------------------------------


def test_load() -> None:
    assert load_percent(1, 128 * SMS, SMS) == 100
    assert load_percent(128, 128 * SMS, SMS) == 100
    assert load_percent(129, 128 * SMS, SMS) == 200
    assert load_percent(1, 4, SMS) == 0


def test_one_best_choice_makes_one_row() -> None:
    points = points_of({(m, n): {"a": 10.0, "b": 12.0} for m in (1, 16, 256) for n in (1024, 8192)})
    assert bounds_and_names(make_table(points, SMS)) == [(ANY, ANY, ANY, "a")]


def test_rows_are_cut_where_the_best_choice_changes() -> None:
    def times(m: int, n: int) -> dict[str, float]:
        small = {"few": 10.0, "many": 20.0} if m <= 16 else {"few": 20.0, "many": 10.0}
        return small if n <= 6400 else small | {"large": 5.0}

    points = points_of({(m, n): times(m, n) for m in (1, 16, 64) for n in (1280, 6400, 12800)})
    table = make_table(points, SMS)
    assert all(regret(table, point, SMS) == 0 for point in points)
    assert bounds_and_names(table) == [(16, 50, ANY, "few"), (ANY, 50, ANY, "many"), (ANY, ANY, ANY, "large")]


def test_noise_makes_no_rows() -> None:
    noise = random.Random(0)
    points = points_of(
        {
            (m, n): {name: 10 * (1 + 0.02 * noise.random()) for name in ("a", "b", "c")}
            for m in (1, 2, 4, 8, 16, 32, 64)
            for n in range(1280, 12801, 1280)
        }
    )
    assert len(make_table(points, SMS)) == 1


def test_a_choice_that_cannot_run_leaves_the_shape_to_a_later_row() -> None:
    points = points_of({(1, 1280): {"a": 10.0, "b": 20.0}, (1, 2560): {"a": 10.0, "b": 20.0}})
    points += points_of({(1, 1280): {"b": 20.0}}, k=8192)
    table = make_table(points, SMS)
    assert bounds_and_names(table) == [(ANY, ANY, 4096, "a"), (ANY, ANY, ANY, "b")]
    assert [look_up(table, point, SMS) for point in points] == [Choice("a", 0), Choice("a", 0), Choice("b", 0)]


def test_fallback_goes_down_in_shared_memory() -> None:
    configurations = {
        name: Configuration(0, 64, 64, size) for name, size in (("a", 90), ("b", 60), ("c", 70), ("d", 30))
    }
    points = points_of({(64, 1280): {"a/1": 10.0, "b/1": 11.0, "c/1": 12.0, "d/1": 13.0}})
    rows = fallback(Row(ANY, ANY, ANY, Choice("a", 0)), points, configurations)
    assert bounds_and_names(rows) == [(ANY, ANY, ANY, "b"), (ANY, ANY, ANY, "d")]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fallback_goes_down_to_what_every_gpu_has(family: str, committed: Measurements) -> None:
    points, configurations = candidates(committed, family, GENERAL), committed.configurations[family]
    large = Row(ANY, ANY, ANY, Choice(max(configurations, key=lambda name: configurations[name].smem_bytes), 0))
    last = fallback(large, points, configurations)[-1]
    assert configurations[last.choice.configuration].smem_bytes <= 64 * 1024  # sm_75's blocks have no more


# ---- files ----------------------------------------------------------------------------------------------------------


def test_measurements_survive_the_disk(tmp_path: Path, committed: Measurements) -> None:
    committed.save(tmp_path / "tuning.json")
    assert (tmp_path / "tuning.json").read_text() == COMMITTED.read_text()
    assert Measurements.load(tmp_path / "tuning.json") == committed


def test_shapes_are_distinct_and_allowed() -> None:
    names = [shape.name for shape in shapes()]
    assert len(set(names)) == len(names)
    for shape in shapes():
        assert shape.n % 8 == 0 and shape.k % math.lcm(64, shape.group_size or 1) == 0


def test_report_without_a_gpu(tmp_path: Path, committed: Measurements) -> None:
    pytest.importorskip("matplotlib")
    few = [p for p in committed.points if p.shape.n in (4096, 28672) and p.shape.m in (1, 16, 256, 4096)]
    replace(committed, points=few).save(tmp_path / "tuning.json")
    assert tune.main(["--from", str(tmp_path / "tuning.json"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/tuning.md").read_text()
    assert "w4a16, Hopper" in text and "w8a8, any GPU" in text
    assert "kSm90Table" in (tmp_path / "out/w4a16/tuning_table.h").read_text()
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert tune.main([]) == 3
    assert "finds no CUDA device" in capsys.readouterr().err


def test_best_of_equal_cuts_is_the_one_that_says_least() -> None:
    [point] = points_of({(1, 128): {"a/2": 10.0, "a/1": 10.0, "a/0": 11.0}})
    assert best(point) == Choice("a", 1)

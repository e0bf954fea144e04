"""What the measurements say: what each table costs against the best choice, and what runs where."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from report import format_us, markdown_table
from tuning_data import FAMILIES, Choice, Measurements, Point
from tuning_table import (
    HOPPER,
    Row,
    best,
    candidates,
    held_out_regrets,
    load_percent,
    look_up,
    regret,
    tables,
)

__all__ = ["write_report"]

KINDS = {
    "v2": "layout v2, fp16, G = 128",
    "v2_bf16": "layout v2, bf16, G = 128",
    "v1": "layout v1, fp16, G = 128",
    "v2, G = 64": "layout v2, fp16, G = 64",
    "w8a8": "int8",
}
WORST = 8


@dataclass(frozen=True)
class _Table:
    """A table with the points that it is for. Hopper's goes on with the general one, as dispatch does."""

    family: str
    arch: int
    rows: list[Row]
    points: list[Point]
    sm_count: int

    @property
    def title(self) -> str:
        return f"{self.family}, {'Hopper' if self.arch == HOPPER else 'any GPU'}"

    def regret(self, point: Point) -> float:
        return regret(self.rows, point, self.sm_count)


def write_report(measurements: Measurements, out: Path) -> list[Path]:
    """Writes tuning.md and its plots into a folder and returns their paths."""
    found = []
    for family in FAMILIES:
        by_arch = tables(measurements, family)
        for arch, rows in by_arch.items():
            general = [] if arch != HOPPER else by_arch[0]
            points = candidates(measurements, family, arch)
            found.append(_Table(family, arch, rows + general, points, measurements.sm_count))
    from tuning_plots import write_plots

    plots = write_plots({table.title: (table.rows, table.points) for table in found}, measurements, out)
    path = out / "tuning.md"
    path.write_text(_text(measurements, found, [plot.name for plot in plots]))
    return [path, *plots]


def _text(measurements: Measurements, found: list[_Table], plots: list[str]) -> str:
    facts = [[key, value] for key, value in measurements.machine.items()]
    facts.append(["command", f"`{shlex.join(measurements.command)}`"])
    parts = [
        "# Choices among the configurations of the matrix products",
        "Written by `./bazelw run //bench:tune -- --from docs/benchmarks/h200/tuning.json --out DIR`, as are the "
        "tables (`csrc/*/tuning_table.h`). The times are medians from a cold L2 cache, all configurations of a shape "
        "by turns; each result was compared with a float32 reference.",
        markdown_table(["", ""], facts),
        "## What the tables cost",
        "Time by the table over that of the best choice for the shape, less 1. *Unseen*: shapes of weights that the "
        "table was made without, a quarter of them at a time. For *any GPU*, what runs on Hopper alone was left out.",
        _costs(found),
        "Where they cost most (after the stroke the number of waves, where not 0):",
        _worst(found),
        "## What runs where",
        "In the plots, a number is what the table's choice costs in percent, where that is 3 or more. How many "
        "measured shapes each configuration serves, and for how many it is the best:",
        _served(found),
        *(f"![{name}]({name})" for name in plots),
    ]
    return "\n\n".join(parts) + "\n"


def _kind(point: Point) -> str:
    return point.shape.kind + ("" if point.shape.is_usual else f", G = {point.shape.group_size}")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _costs(found: list[_Table]) -> str:
    lines = []
    for table in found:
        unseen = held_out_regrets([p for p in table.points if _kind(p) in ("v2", "w8a8")], table.sm_count)
        for kind, words in KINDS.items():
            values = sorted(table.regret(point) for point in table.points if _kind(point) == kind)
            if not values:
                continue
            usual = kind in ("v2", "w8a8")
            lines.append(
                [
                    table.title,
                    words,
                    str(len(values)),
                    _percent(statistics.mean(values)),
                    _percent(values[len(values) * 19 // 20]),
                    _percent(values[-1]),
                    _percent(statistics.mean(unseen)) if usual else "",
                    _percent(sorted(unseen)[len(unseen) * 19 // 20]) if usual else "",
                ]
            )
    return markdown_table(
        ["table", "of", "shapes", "mean", "95th percentile", "most", "unseen: mean", "95th percentile"], lines
    )


def _worst(found: list[_Table]) -> str:
    lines = []
    for table in found:
        for point in sorted(table.points, key=table.regret, reverse=True)[:WORST]:
            chosen, least = look_up(table.rows, point, table.sm_count), best(point)
            assert chosen is not None
            lines.append(
                [
                    table.title,
                    point.shape.name,
                    str(load_percent(point.shape.m, point.shape.n, table.sm_count)),
                    _name(chosen),
                    format_us(point.us[chosen]),
                    _name(least),
                    format_us(point.us[least]),
                ]
            )
    return markdown_table(["table", "shape", "load, %", "by the table", "us", "best", "us"], lines)


def _name(choice: Choice) -> str:
    return choice.configuration + (f" / {choice.waves}" if choice.waves else "")


def _served(found: list[_Table]) -> str:
    lines = []
    for table in found:
        served: Counter[str] = Counter()
        won: Counter[str] = Counter()
        for point in table.points:
            chosen = look_up(table.rows, point, table.sm_count)
            assert chosen is not None
            served[chosen.configuration] += 1
            won[best(point).configuration] += 1
        for name in sorted(served | won, key=lambda name: -served[name]):
            lines.append([table.title, name, str(served[name]), str(won[name])])
    return markdown_table(["table", "configuration", "serves", "best for"], lines)

"""From measurements to tables: which ranges of sizes share a configuration, so that few rows cost little time.

A table is a list of rows with upper bounds on M, on the load (see `load_percent`) and on K; the first row that holds a
problem and whose configuration can run it is taken. The search cuts M into bands, each band by the load, each of those
by K, and is exact among all such cuts: the losses of the measured shapes and a price for every row are least together.
The price is what keeps noise from making rows.
"""

from __future__ import annotations

import bisect
import operator
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuning_data import FAMILIES, Choice, Configuration, Measurements, Point, Shape

__all__ = [
    "ANY",
    "GENERAL",
    "HOPPER",
    "Row",
    "best",
    "candidates",
    "fallback",
    "held_out_regrets",
    "load_percent",
    "look_up",
    "make_table",
    "regret",
    "table_text",
    "tables",
    "write_tables",
]

ANY = 2**63 - 1  # no bound
ROW_PRICE = 0.12  # in losses: a row has to save 9% at one of the measured shapes, or 2% at six
NEAR = 0.02  # a choice that nowhere comes so near to the best is not considered
UNSERVED = 1000.0  # loss where a configuration cannot run
UNIT = 1e-6  # losses are sums of integers, so that they do not depend on the order of the sum

LOADS = (6, 12, 18, 25, 33, 40, 50, 66, 75, 85, 100, 125, 150, 200, 250, 300, 400, 500, 600, 700, 800, 1000, 1600, ANY)
DEPTHS = (2048, 4096, 8192, 16384, ANY)


@dataclass(frozen=True)
class Row:
    """Serves problems of up to these sizes."""

    max_m: int
    max_load_percent: int
    max_k: int
    choice: Choice

    @property
    def bounds(self) -> tuple[int, int, int]:
        return self.max_m, self.max_load_percent, self.max_k

    def holds(self, shape: Shape, sm_count: int) -> bool:
        load = load_percent(shape.m, shape.n, sm_count)
        return shape.m <= self.max_m and load <= self.max_load_percent and shape.k <= self.max_k


def load_percent(m: int, n: int, sm_count: int) -> int:
    """Tiles of 128 x 128 results per multiprocessor, as csrc/common/tuning.h has it."""
    return (m + 127) // 128 * n * 100 // (128 * sm_count)


def look_up(table: Sequence[Row], point: Point, sm_count: int) -> Choice | None:
    """What the table chooses for a measured shape."""
    for row in table:
        if row.holds(point.shape, sm_count) and row.choice in point.us:
            return row.choice
    return None


def candidates(measurements: Measurements, family: str, arch: int) -> list[Point]:
    """The family's points with the choices of one architecture and of all, or, with arch 0, of all alone."""
    entries = measurements.configurations[family]
    points = []
    for point in measurements.points:
        if point.shape.family == family:
            us = {choice: us for choice, us in point.us.items() if entries[choice.configuration].arch in (0, arch)}
            points.append(Point(point.shape, us))
    return points


def best(point: Point) -> Choice:
    """The fastest choice; of those that cut it alike, the one that says so first."""
    return min(point.us, key=lambda choice: (point.us[choice], choice.waves, choice.configuration))


def _least(point: Point) -> float:
    return min(point.us.values())


def regret(table: Sequence[Row], point: Point, sm_count: int) -> float:
    """How much longer the table's choice takes than the best, as a part of the best's time."""
    choice = look_up(table, point, sm_count)
    return UNSERVED if choice is None else point.us[choice] / _least(point) - 1


def make_table(points: list[Point], sm_count: int) -> list[Row]:
    """The rows that serve these points, measured on one GPU of so many multiprocessors."""
    return _without_needless_rows(_Search(points, sm_count).rows(), points, sm_count)


def fallback(last_row: Row, points: list[Point], configurations: dict[str, Configuration]) -> list[Row]:
    """Rows to follow the last, without bounds: fast at the largest M measured, each of less shared memory."""
    most = max(point.shape.m for point in points)
    last = [point for point in points if point.shape.m == most]
    everywhere = [choice for choice in last[0].us if all(choice in point.us for point in last) and choice.waves == 1]
    everywhere.sort(key=lambda choice: (sum(point.us[choice] / _least(point) for point in last), choice))
    rows = [last_row]
    for choice in everywhere:
        smem_bytes = configurations[choice.configuration].smem_bytes
        if all(smem_bytes < configurations[row.choice.configuration].smem_bytes for row in rows):
            rows.append(Row(ANY, ANY, ANY, choice))
    return rows[1:]


def held_out_regrets(points: list[Point], sm_count: int, parts: int = 4) -> list[float]:
    """Regrets of shapes by tables made without their weight's sizes: what shapes may expect that nobody measured."""
    weights = sorted({(point.shape.n, point.shape.k) for point in points})
    regrets = []
    for part in range(parts):
        unseen = weights[part::parts]
        table = make_table([p for p in points if (p.shape.n, p.shape.k) not in unseen], sm_count)
        regrets += [regret(table, p, sm_count) for p in points if (p.shape.n, p.shape.k) in unseen]
    return regrets


def _loss(excess: float) -> float:
    """Of a choice that takes so much longer than the best. A table is as good as its worst shapes, hence the square."""
    return excess + 4 * excess**2


def _integer(loss: float) -> int:
    return round(loss / UNIT)


class _Search:
    """The cheapest table for some points, by the sums of their losses in every range of sizes."""

    def __init__(self, points: list[Point], sm_count: int) -> None:
        self._bounds = sorted({point.shape.m for point in points})
        near = {choice for point in points for choice, us in point.us.items() if us <= (1 + NEAR) * _least(point)}
        self._choices = sorted(near, key=lambda choice: (choice.waves, choice))
        # By M, load and K: each choice's losses. Integers, so that the order of their sum does not matter.
        self._cells: dict[tuple[int, int, int], list[int]] = {}
        for point in points:
            shape = point.shape
            at = (
                self._bounds.index(shape.m),
                bisect.bisect_left(LOADS, load_percent(shape.m, shape.n, sm_count)),
                bisect.bisect_left(DEPTHS, shape.k),
            )
            losses = [
                _integer(_loss(point.us[c] / _least(point) - 1) if c in point.us else UNSERVED) for c in self._choices
            ]
            self._cells[at] = _add(self._cells.get(at, [0] * len(losses)), losses)
        self._bands: dict[tuple[int, int], tuple[int, list[Row]]] = {}

    def rows(self) -> list[Row]:
        """The table."""
        table: list[Row] = []
        count = len(self._bounds)
        for first, last in _cut(count, lambda first, last: self._band(first, last)[0])[1]:
            max_m = ANY if last == count else self._bounds[last - 1]
            table += [replace(row, max_m=max_m) for row in self._band(first, last)[1]]
        return table

    def _band(self, first: int, last: int) -> tuple[int, list[Row]]:
        """Cost and rows of a band of M."""
        if (first, last) not in self._bands:
            cells: list[dict[int, list[int]]] = [{} for _ in LOADS]
            for (m, load, depth), losses in self._cells.items():
                if first <= m < last:
                    cells[load][depth] = _add(cells[load].get(depth, [0] * len(losses)), losses)
            self._bands[first, last] = self._cut_loads([(load, cell) for load, cell in enumerate(cells) if cell])
        return self._bands[first, last]

    def _cut_loads(self, cells: list[tuple[int, dict[int, list[int]]]]) -> tuple[int, list[Row]]:
        ranges: dict[tuple[int, int], tuple[int, list[Row]]] = {}
        for first in range(len(cells)):
            merged: dict[int, list[int]] = {}
            for last in range(first + 1, len(cells) + 1):
                for depth, losses in cells[last - 1][1].items():
                    merged[depth] = _add(merged.get(depth, [0] * len(losses)), losses)
                ranges[first, last] = self._cut_depths(sorted(merged.items()))
        cost, cuts = _cut(len(cells), lambda first, last: ranges[first, last][0])
        rows = []
        for first, last in cuts:
            max_load = ANY if last == len(cells) else LOADS[cells[last - 1][0]]
            rows += [replace(row, max_load_percent=max_load) for row in ranges[first, last][1]]
        return cost, rows

    def _cut_depths(self, cells: list[tuple[int, list[int]]]) -> tuple[int, list[Row]]:
        ranges: dict[tuple[int, int], tuple[int, int]] = {}  # loss and number of the best choice
        for first in range(len(cells)):
            losses = [0] * len(self._choices)
            for last in range(first + 1, len(cells) + 1):
                losses = _add(losses, cells[last - 1][1])
                least = min(losses)
                ranges[first, last] = least, losses.index(least)
        cost, cuts = _cut(len(cells), lambda first, last: ranges[first, last][0] + _integer(ROW_PRICE))
        rows = []
        for first, last in cuts:
            max_k = ANY if last == len(cells) else DEPTHS[cells[last - 1][0]]
            rows.append(Row(ANY, ANY, max_k, self._choices[ranges[first, last][1]]))
        return cost, rows


def _without_needless_rows(table: list[Row], points: list[Point], sm_count: int) -> list[Row]:
    """Leaves out rows, the least useful first, whose shapes the rows after them serve for less than a row's price."""

    def loss(choice: Choice | None, point: Point) -> int:
        return _integer(UNSERVED if choice is None else _loss(point.us[choice] / _least(point) - 1))

    while True:
        served: list[list[Point]] = [[] for _ in table]
        for point in points:
            row = next(i for i, row in enumerate(table) if row.holds(point.shape, sm_count) and row.choice in point.us)
            served[row].append(point)
        uses = [
            sum(loss(look_up(table[i + 1 :], p, sm_count), p) - loss(table[i].choice, p) for p in served[i])
            for i in range(len(table))
        ]
        least = min(range(len(table)), key=lambda i: uses[i])
        if uses[least] >= _integer(ROW_PRICE):
            return table
        table = table[:least] + table[least + 1 :]


def _add(a: list[int], b: list[int]) -> list[int]:
    return [*map(operator.add, a, b)]


def _cut(size: int, cost: Callable[[int, int], int]) -> tuple[int, list[tuple[int, int]]]:
    """The cheapest cut of range(size) into ranges; of equally cheap ones, that with the longest last range."""
    best_of: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
    for last in range(1, size + 1):
        total, first = min((best_of[first][0] + cost(first, last), first) for first in range(last))
        best_of.append((total, [*best_of[first][1], (first, last)]))
    return best_of[size]


# ---- as C++ ---------------------------------------------------------------------------------------------------------

GENERAL = 0  # tables for what runs on every architecture
HOPPER = 90
_NAMES = {HOPPER: "kSm90Table", GENERAL: "kTable"}
_TITLES = {
    HOPPER: "On Hopper.",
    GENERAL: "On every architecture; measured without what runs on Hopper alone. The last rows serve everything.",
}


def tables(measurements: Measurements, family: str) -> dict[int, list[Row]]:
    """The family's tables by architecture. Hopper's is followed by the general one for what it does not serve."""
    found = {}
    for arch in (HOPPER, GENERAL):
        points = [point for point in candidates(measurements, family, arch) if point.shape.is_usual]
        found[arch] = make_table(points, measurements.sm_count)
        if arch == GENERAL:
            found[arch] += fallback(found[arch][-1], points, measurements.configurations[family])
    return found


def table_text(measurements: Measurements, family: str) -> str:
    """csrc/<family>/tuning_table.h."""
    lines = [
        "// Which configuration computes which problem. Written from docs/benchmarks/h200/tuning.json, not edited:",
        "//   ./bazelw run //bench:tune -- --from docs/benchmarks/h200/tuning.json --out DIR",
        "// That was measured by",
        f"//   {shlex.join(measurements.command)}",
        *(f"// {key}: {measurements.machine[key]}" for key in ("GPU", "driver", "PyTorch", "date")),
        "// What was found out about the choices: docs/benchmarks/h200/tuning.md",
        "#pragma once",
        "",
        f'#include "csrc/{family}/configurations.h"',
        "",
        f"namespace awq::{family} {{",
        "",
        "// A row: M, load in percent and K up to, configuration, waves. The first that serves a problem is taken.",
        "// clang-format off",
    ]
    for arch, rows in tables(measurements, family).items():
        if arch == HOPPER:
            lines += ["", f"#if AWQ_{family.upper()}_SM90"]
        lines += [f"// {_TITLES[arch]}", f"inline constexpr TuningRow<Configuration> {_NAMES[arch]}[] = {{"]
        for row in rows:
            bounds = ", ".join("kAny" if bound == ANY else str(bound) for bound in row.bounds)
            lines.append(f"    {{{bounds}, &k{row.choice.configuration}, {row.choice.waves}}},")
        lines += ["};", *(["#endif", ""] if arch == HOPPER else [])]
    return "\n".join([*lines, "// clang-format on", "", f"}}  // namespace awq::{family}", ""])


def write_tables(measurements: Measurements, out: Path) -> list[Path]:
    """Writes the families' files below a folder and returns their paths."""
    paths = []
    for family in FAMILIES:
        path = out / family / "tuning_table.h"
        path.parent.mkdir(exist_ok=True)
        path.write_text(table_text(measurements, family))
        paths.append(path)
    return paths

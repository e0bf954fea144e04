"""A picture per table: the configuration of every measured shape, and what that costs against the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from tuning_data import Measurements, Point
from tuning_table import Row, look_up, regret

__all__ = ["write_plots"]

SHOWN_PERCENT = 3  # of cost; less is noise


def write_plots(
    tables: Mapping[str, tuple[Sequence[Row], list[Point]]], measurements: Measurements, out: Path
) -> list[Path]:
    """Writes a PNG file per table and returns the paths."""
    gpu = measurements.machine.get("GPU", "").split(",")[0]
    paths = []
    for title, (rows, points) in tables.items():
        usual = [point for point in points if point.shape.kind in ("v2", "w8a8") and point.shape.is_usual]
        figure = Figure(figsize=(11, 9), layout="constrained")
        _draw(figure.add_subplot(), rows, usual, measurements.sm_count)
        figure.suptitle(f"{title}: what the table chooses, {gpu}")
        paths.append(out / f"tuning_{title.replace(', ', '_').replace(' ', '_').lower()}.png")
        figure.savefig(paths[-1], dpi=90)
    return paths


def _draw(axes: Axes, rows: Sequence[Row], points: list[Point], sm_count: int) -> None:
    weights = sorted({(point.shape.n, point.shape.k) for point in points})
    columns = sorted({point.shape.m for point in points})
    chosen = {point.shape: look_up(rows, point, sm_count) for point in points}
    names = sorted({choice.configuration for choice in chosen.values() if choice})
    colors = dict(zip(names, colormaps["tab20"].colors))  # type: ignore[attr-defined]
    for point in points:
        choice = chosen[point.shape]
        if choice is None:
            continue
        x, y = columns.index(point.shape.m), weights.index((point.shape.n, point.shape.k))
        axes.add_patch(_cell(x, y, colors[choice.configuration]))
        cost = round(100 * regret(rows, point, sm_count))
        if cost >= SHOWN_PERCENT:
            axes.text(x, y, str(cost), ha="center", va="center", fontsize=7)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(weights) - 0.5), xlabel="M", ylabel="N x K")
    axes.set_xticks(range(len(columns)), [str(m) for m in columns], rotation=90)
    axes.set_yticks(range(len(weights)), [f"{n} x {k}" for n, k in weights])
    axes.legend(
        handles=[Patch(color=colors[name], label=name) for name in names],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.11),
        ncols=5,
        frameon=False,
        fontsize=8,
    )


def _cell(x: int, y: int, color: tuple[float, float, float]) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=0.5)

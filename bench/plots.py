"""Plots of a run as PNG files.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; every series also has a marker of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from cases import GROUPS
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from results import Measurement, Run, StepTime

__all__ = ["write_plots"]

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
PEER_STYLES = [(ORANGE, "s"), (GREEN, "^"), (PURPLE, "D")]


def write_plots(run: Run, out: Path) -> list[str]:
    """Writes every plot that the run has results for and returns the file names."""
    by_group = {key: [m for m in run.measurements if m.group == key and m.us is not None] for key in GROUPS}
    names = []

    def save(name: str, draw: Callable[[], Figure]) -> None:
        figure = draw()
        figure.suptitle(
            figure.get_suptitle() + f"\n{run.machine.get('GPU', '').split(',')[0]}, {run.dtype}", fontsize=11
        )
        figure.savefig(out / f"{name}.png", dpi=120, bbox_inches="tight")
        names.append(f"{name}.png")

    for key in ("w4a16", "w8a8"):
        # Rows with bias differ too little from those without to be told apart in a plot.
        measurements = [m for m in by_group[key] if m.coordinates.get("bias") != "yes"]
        if measurements:
            save(f"{key}_time_over_m", partial(_time_over_m, measurements))
    if by_group["attention"]:
        save("attention_over_length", lambda: _attention_over_length(by_group["attention"]))
    if by_group["rows"]:
        save("rows_bandwidth", lambda: _bandwidth(by_group["rows"]))
    for key in ("w4a16", "w8a8", "attention"):
        if by_group[key]:
            save(f"{key}_roofline", partial(_roofline, run, by_group[key]))
    if any(layer.us is not None for layer in run.layers):
        save("decoder_layer", lambda: _decoder_layer(run))
    if run.host:
        save("host_time", lambda: _host_time(run))
    return names


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(5.4 * columns, 4.0 * rows), layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _plain(axis: Axis) -> None:
    """Ticks at 1, 2, 5, 10, ... as plain numbers instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _log_log(axes: Axes, x_label: str, y_label: str, ticks: Iterable[int] = ()) -> None:
    axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    if ticks:
        axes.set_xticks(sorted(set(ticks)))
        axes.set_xticks([], minor=True)
        axes.tick_params(axis="x", labelsize=8, labelrotation=45)


def _peer_names(measurements: Iterable[Measurement]) -> list[str]:
    return list(dict.fromkeys(name for m in measurements for name in m.peers))


def _time_over_m(measurements: Sequence[Measurement]) -> Figure:
    shapes = list(dict.fromkeys(m.coordinates["N x K"] for m in measurements))
    # A panel needs a curve.
    panels = {shape: [m for m in measurements if m.coordinates["N x K"] == shape] for shape in shapes}
    panels = {shape: rows for shape, rows in panels.items() if len(rows) > 1} or panels
    figure, axes_list = _panels(len(panels), min(2, len(panels)))
    for axes, (shape, rows) in zip(axes_list, panels.items()):
        m_values = [int(m.coordinates["M"]) for m in rows]
        axes.plot(m_values, [m.floor_us for m in rows], color=GREY, linestyle="--", label="floor")
        for (color, marker), name in zip(PEER_STYLES, _peer_names(rows)):
            points = [(int(m.coordinates["M"]), m.peers[name]) for m in rows if name in m.peers]
            axes.plot(*zip(*points), color=color, marker=marker, markersize=5, label=name)
        axes.plot(m_values, [m.us or math.nan for m in rows], color=BLUE, marker="o", linewidth=2.5, label="ours")
        axes.set_title(f"N x K = {shape}", fontsize=10)
        _log_log(axes, "M (rows)", "microseconds (lower is better)", m_values)
    axes_list[0].legend(fontsize=9)
    figure.suptitle(f"{GROUPS[measurements[0].group].title}: time over rows")
    return figure


def _attention_over_length(measurements: Sequence[Measurement]) -> Figure:
    own = [m for m in measurements if "." not in m.function]
    heads = list(dict.fromkeys(m.coordinates["H / Hk"] for m in own))
    figure, axes_list = _panels(len(heads), 2)
    for axes, kind in zip(axes_list, heads):
        rows = [m for m in own if m.coordinates["H / Hk"] == kind]
        series: list[tuple[str, str, str, Callable[[Measurement], float | None]]] = [
            ("ours", BLUE, "o", lambda m: m.us),
            ("SDPA", ORANGE, "s", lambda m: m.peers.get("SDPA")),
        ]
        for label, color, marker, time_of in series:
            points = [
                (int(m.coordinates["length"]), us / m.floor_us, m.coordinates["B"])
                for m in rows
                if (us := time_of(m)) is not None
            ]
            single = [point[:2] for point in points if point[2] == "1"]
            if single:
                axes.plot(*zip(*single), color=color, marker=marker, linewidth=2, label=f"{label}, B = 1")
            batched = [point for point in points if point[2] != "1"]
            if batched:
                x, y, batches = zip(*batched)
                axes.plot(x, y, color=color, marker=marker, linestyle="", fillstyle="none", markersize=9)
                for length, ratio, batch in zip(x, y, batches):
                    if label == "ours":
                        axes.annotate(
                            f"B={batch}", (length, ratio), (0, -16), textcoords="offset points", ha="center", fontsize=8
                        )
        axes.axhline(1, color=GREY, linestyle="--", label="floor")
        axes.plot(
            [], [], color=GREY, marker="o", linestyle="", fillstyle="none", markersize=9, label="batches (B as marked)"
        )
        axes.set_title(f"{kind} heads", fontsize=10)
        _log_log(
            axes,
            "length (positions attended)",
            "time / floor (1 is best)",
            [int(m.coordinates["length"]) for m in rows],
        )
        axes.set_yticks([tick for tick in (1, 2, 5, 10, 20) if tick <= 1.5 * axes.get_ylim()[1]])
        axes.set_yticks([], minor=True)
        axes.set_ylim(bottom=0.7)
    axes_list[0].legend(fontsize=9)
    figure.suptitle("Decode attention: time over floor")
    return figure


def _bandwidth(measurements: Sequence[Measurement]) -> Figure:
    large = [m for m in measurements if m.coordinates["T"] != "1"] or list(measurements)
    labels = [f"{m.function}\nT {m.coordinates['T']}, {m.coordinates['width']}" for m in large]
    figure, (axes,) = _panels(1, 1)
    figure.set_size_inches(9, 0.75 * len(large) + 1.5)
    positions = range(len(large))
    ours = [100 * m.floor_us / m.us for m in large if m.us is not None]
    axes.barh([p - 0.2 for p in positions], ours, 0.38, color=BLUE, label="ours")
    theirs = [next(iter(m.peers.items()), ("", float("inf"))) for m in large]
    axes.barh([p + 0.2 for p in positions], [100 * m.floor_us / us for m, (_, us) in zip(large, theirs)], 0.38,
              color=ORANGE, hatch="//", edgecolor="white", label="PyTorch")  # fmt: skip
    for position, m, (name, us) in zip(positions, large, theirs):
        axes.text(ours[position] + 1, position - 0.2, f"{m.us:.0f} us", va="center", fontsize=8)
        axes.text(100 * m.floor_us / us + 1, position + 0.2, f"{us:.0f} us  {name}", va="center", fontsize=8)
    axes.axvline(100, color=GREY, linestyle="--")
    axes.axvline(85, color=GREY, linestyle=":", label="aim: 85%")
    axes.set_yticks(positions, labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("% of the measured copy bandwidth, each input and output counted once (higher is better)")
    axes.set_xlim(0, 118)
    axes.legend(fontsize=9, loc="lower right")
    figure.suptitle("Bandwidth-bound functions")
    return figure


def _roofline(run: Run, measurements: Sequence[Measurement]) -> Figure:
    figure, (axes,) = _panels(1, 1)
    figure.set_size_inches(8, 5)
    intensities = [m.work.intensity for m in measurements]
    unit = measurements[0].unit
    low, high = min(intensities) / 2, max(intensities) * 2
    roof = [(x, min(x * run.ceilings.copy, run.ceilings.rate(unit)) / 1e12) for x in _geometric(low, high, 100)]
    axes.plot(*zip(*roof), color=GREY, linestyle="--", label="ceiling: copy bandwidth, then matrix rate")
    for (color, marker), name in zip(PEER_STYLES, _peer_names(measurements)):
        points = [(m.work.intensity, m.operations / m.peers[name] / 1e6) for m in measurements if name in m.peers]
        axes.plot(*zip(*points), color=color, marker=marker, linestyle="", markersize=5, alpha=0.8, label=name)
    points = [(m.work.intensity, m.operations / m.us / 1e6) for m in measurements if m.us is not None]
    axes.plot(*zip(*points), color=BLUE, marker="o", linestyle="", markersize=7, label="ours")
    _log_log(
        axes, f"{unit} operations per byte of our kernel's inputs and outputs", "TFLOP/s" if unit == "fp16" else "TOP/s"
    )
    axes.legend(fontsize=9, loc="upper left")
    figure.suptitle(f"{GROUPS[measurements[0].group].title}: roofline")
    return figure


def _geometric(low: float, high: float, count: int) -> list[float]:
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def _decoder_layer(run: Run) -> Figure:
    """Per batch size a bar for the floors, one for ours, one for PyTorch; the first two show what they consist of."""
    layers = [layer for layer in run.layers if layer.us is not None]
    figure, axes_list = _panels(len(layers), 1)
    figure.set_size_inches(9, 2.4 * len(layers) + 0.8)
    products, attention, rest = ("qkv", "output", "gate and up", "down"), ("attention",), "norms, silu and multiply"
    kinds = [("4-bit products", BLUE, ""), ("attention", GREEN, "//"), (rest, PURPLE, "..")]
    for axes, layer in zip(axes_list, layers):
        assert layer.us is not None

        def shares(time_of: Callable[[StepTime], float], steps: list[StepTime] = layer.steps) -> list[float]:
            groups = [products, attention]
            sums = [sum(time_of(step) for step in steps if step.name in group) for group in groups]
            return [*sums, sum(map(time_of, steps)) - sum(sums)]

        alone = shares(lambda step: step.us or 0.0)
        # A step may take less in the layer than alone, where its input is in the caches: the shares then fit the whole.
        alone = [value * min(1.0, layer.us / sum(alone)) for value in alone]
        bars = [("sum of floors", shares(lambda step: step.floor_us), 0.0), ("ours", alone, layer.us - sum(alone))]
        for position, (_, values, between) in enumerate(bars):
            left = 0.0
            for (label, color, hatch), value in zip(kinds, values):
                axes.barh(position, value, 0.6, left, color=color, hatch=hatch, edgecolor="white", label=label)
                left += value
            if between > 0:
                axes.barh(position, between, 0.6, left, color="#dddddd", edgecolor=GREY, label="between the steps")
            axes.text(max(left, left + between) + 1, position, f"{left + between:.0f} us", va="center", fontsize=9)
        names = [name for name, _, _ in bars]
        if layer.pytorch_us is not None:
            axes.barh(len(bars), layer.pytorch_us, 0.6, color=ORANGE, label="PyTorch, 16-bit weights")
            axes.text(layer.pytorch_us + 1, len(bars), f"{layer.pytorch_us:.0f} us", va="center", fontsize=9)
            names.append("PyTorch")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.12 * max(max(m.pytorch_us or 0.0, m.us or 0.0) for m in layers))
        axes.set_title(", ".join(f"{key} {value}" for key, value in layer.coordinates.items()), fontsize=10)
    axes_list[-1].set_xlabel("microseconds per decoder layer (lower is better)")
    entries = {label: handle for axes in axes_list for handle, label in zip(*axes.get_legend_handles_labels())}
    axes_list[0].legend(entries.values(), entries.keys(), fontsize=8, loc="upper right")
    figure.suptitle("A decoder layer of Llama-3-8B in one CUDA graph")
    return figure


def _host_time(run: Run) -> Figure:
    figure, (axes,) = _panels(1, 1)
    figure.set_size_inches(9, 0.5 * len(run.host) + 1.5)
    positions = range(len(run.host))
    # Sequences of eager operations take ten times as long as everything else; their bars are cut off.
    limit = 4 * max(entry.us for entry in run.host)
    axes.barh([p - 0.2 for p in positions], [entry.us for entry in run.host], 0.38, color=BLUE, label="ours")
    for position, entry in zip(positions, run.host):
        axes.text(entry.us + 0.3, position - 0.2, f"{entry.us:.1f}", va="center", fontsize=8)
        for name, us in list(entry.peers.items())[:1]:
            axes.barh([position + 0.2], [us], 0.38, color=ORANGE, hatch="//", edgecolor="white",
                      label="PyTorch" if position == 0 else None)  # fmt: skip
            axes.text(
                min(us + 0.3, 0.8 * limit),
                position + 0.2,
                f"{us:.1f}  {name}",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
    axes.set_yticks(positions, [entry.function for entry in run.host], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("host microseconds per call (lower is better)")
    axes.set_xlim(0, limit)
    axes.legend(fontsize=9, loc="upper right")
    figure.suptitle("Host time to enqueue one call, small shapes")
    return figure

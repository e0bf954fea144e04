"""Tables in Markdown from a run's results."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from cases import GROUPS, Group
from results import ERROR_BOUNDS, LAYER_ERROR_FACTOR, HostTime, LayerMeasurement, Measurement, Run

__all__ = ["format_us", "layer_line", "markdown_table", "progress_line", "report", "write_report"]

ABSENT = "-"
SMALL_FLOOR_US = 0.1


def write_report(run: Run, plots: Sequence[str], path: Path) -> None:
    """Writes `report`, its plots named as files beside it."""
    path.write_text(report(run, plots))


def report(run: Run, plots: Sequence[str] = ()) -> str:
    """The whole report: machine, ceilings, a table per group, host times, plots."""
    ceilings, bound = run.ceilings, ERROR_BOUNDS[run.dtype]
    parts = [
        "# Benchmark",
        markdown_table(["", ""], [*run.machine.items(), ("command", f"`{shlex.join(run.command)}`")]),
        f"Ceilings measured in this run: copy {ceilings.copy / 1e12:.2f} TB/s (bytes read plus written), {run.dtype} "
        f"{ceilings.fp16 / 1e12:.0f} TFLOP/s (8192^3), int8 {ceilings.int_mm / 1e12:.0f} TOP/s (`torch._int_mm`, "
        "8192^3).",
        f"Times in microseconds: {run.dtype}, median of event-timed runs. Each call is timed in two ways: cold, alone "
        "after the L2 cache was filled with lines to be written back, its launch included; and in a CUDA graph of "
        "calls on rotating copies of the tensors, which come from memory: what decoding does. Weights count as "
        "constant (`set_constant_weights`). *Floor* is what the ceilings allow, *of floor* the share of it that ours "
        "reaches; above 100% where pure reads outrun the copy. *Reading* is a kernel that reads as many bytes and does "
        "nothing else, *early* the same with its first loads ahead of the end of the kernel before. *Error* is "
        f"||out - ref|| / ||ref|| against a float32 reference (bound {bound:g}).{_stated(run)}",
        _summary(run),
    ]
    for key, group in GROUPS.items():
        measurements = [m for m in run.measurements if m.group == key]
        if measurements:
            parts += [f"## {group.title}", group.note, _group_table(group, measurements, bound)]
    if run.layers:
        parts += [
            "## Beyond one call: a decoder layer",
            "Llama-3-8B's layer (hidden 4096, 32/8 heads of 128, intermediate 14336) as one CUDA graph, microseconds "
            "per layer. The graph holds four layers with tensors of their own, several times the L2 cache, so that "
            "weights and caches come from memory as in real decoding. *PyTorch* is the same layer with 16-bit weights: "
            "cuBLAS, SDPA, eager operations for the rest, in a graph as well. A *step alone* is timed in a graph of "
            "that step of the four layers. Norms include the addition of the residual stream, on both sides. "
            "*Cautious* is ours without the promise that weights are constant.",
            _layer_table(run.layers, LAYER_ERROR_FACTOR * bound),
            _step_table(run.layers),
        ]
    if run.host:
        parts += [
            "## Host time per call",
            "What the host needs to enqueue one call, small shapes; decoding at batch 1 waits for it unless it replays "
            "a CUDA graph.",
            _host_table(run.host),
        ]
    if plots:
        parts += ["## Plots", "\n".join(f"![{Path(plot).stem.replace('_', ' ')}]({plot})" for plot in plots)]
    return "\n\n".join(part for part in parts if part) + "\n"


def progress_line(m: Measurement) -> str:
    """One line for the terminal."""
    if m.us is None:
        return f"{m.name}  FAILED: {m.failure}"
    figures = [f"{format_us(m.us)} us", f"floor {format_us(m.floor_us)} ({_of_floor(m)})"]
    figures += [f"{name} {format_us(us)}" for name, us in m.peers.items()]
    graph = [("ours", m.graph_us), *m.graph_peers.items()]
    figures += [f"graph: {', '.join(f'{name} {format_us(us)}' for name, us in graph)}"]
    figures += [f"reading {' / '.join(map(format_us, m.reading_us))}"] if m.reading_us else []
    figures += [f"target {format_us(m.target_us)}"] if m.target_us is not None else []
    return f"{m.name}  {', '.join(figures)}, error {_error(m.error)}"


def layer_line(m: LayerMeasurement) -> str:
    """One line for the terminal."""
    sizes = ", ".join(f"{key} {value}" for key, value in m.coordinates.items())
    if m.us is None:
        return f"layer {sizes}  FAILED: {m.failure}"
    return (
        f"layer {sizes}  {format_us(m.us)} us, floors {format_us(m.floor_us)}, steps alone {format_us(m.steps_us)}, "
        f"PyTorch {format_us(m.pytorch_us)}, error {_error(m.error)}"
    )


def format_us(us: float | None) -> str:
    """Three significant digits, no exponent: 0.52, 4.71, 23.4, 352, 5265."""
    if us is None:
        return ABSENT
    digits = 2 if us < 9.995 else 1 if us < 99.95 else 0
    return f"{us:.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are taken as they are; the first column is text, the others are figures."""
    alignments = ["---", *["---:"] * (len(header) - 1)] if any(header) else ["---"] * len(header)
    lines = [header, alignments, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _stated(run: Run) -> str:
    """What the columns mean that only some runs have."""
    text = " *Target* holds for an H200." if any(m.target_us is not None for m in run.measurements) else ""
    if run.reference:
        text += f" *Reference*: another build of the modules ({run.reference})."
    elif any(m.reference_us is not None for m in run.measurements):
        text += " *Reference*: the public AWQ kernels of mid-2025, once measured on an H200 and not run here."
    return text


def _summary(run: Run) -> str:
    if not run.measurements:
        return ""
    measured = [m for m in run.measurements if m.us is not None]
    judged = [m for m in measured if m.target_us is not None]
    met = sum(_meets(m) for m in judged)
    faster = [m for m in measured if m.reference_us is not None]
    beaten = sum(m.us < m.reference_us for m in faster if m.us is not None and m.reference_us is not None)
    text = f"{len(measured)} of {len(run.measurements)} cases measured, {len(run.wrong())} wrong"
    text += f"; target met in {met} of {len(judged)}" if judged else ""
    text += f"; reference beaten in {beaten} of {len(faster)}" if faster else ""
    return f"**{text}.**"


def _group_table(group: Group, measurements: Sequence[Measurement], bound: float) -> str:
    peers = list(dict.fromkeys(name for m in measurements for name in m.peers))
    peer_header = peers if group.peer_columns else ["PyTorch"]
    sizes = list(measurements[0].coordinates)
    # The function is told only where the sizes and the group's note do not tell it.
    show_function = group.show_function or any("." in m.function for m in measurements)
    lead = [*(["function"] if show_function else []), *sizes]
    with_reference = any(m.reference_us is not None for m in measurements)
    with_target = any(m.target_us is not None for m in measurements)
    header = [*lead, "floor", "ours", "of floor", *peer_header]
    header += [*(["reference"] if with_reference else []), *(["target", "met"] if with_target else []), "error"]
    rows = []
    for m in measurements:
        cells = [m.function] if show_function else []
        cells += [*m.coordinates.values(), format_us(m.floor_us)]
        cells += [f"**{format_us(m.us)}**" if m.us is not None else "failed", _of_floor(m)]
        cells += [format_us(m.peers.get(name)) for name in peers] if group.peer_columns else [_named_peers(m.peers)]
        cells += [format_us(m.reference_us)] if with_reference else []
        cells += [format_us(m.target_us), _verdict(m)] if with_target else []
        cells += [_error(m.error) if m.error is None or m.error <= bound else f"**{_error(m.error)}**"]
        rows.append(cells)
    failures = [f"`{m.name}`: {m.failure}" for m in measurements if m.failure]
    cold = [markdown_table(header, rows), _speed_ups(group, measurements), *failures]
    return "\n\n".join([*cold, *_graph_table(group, measurements, show_function)])


def _graph_table(group: Group, measurements: Sequence[Measurement], show_function: bool) -> list[str]:
    timed = [m for m in measurements if m.graph_us is not None]
    if not timed:
        return []
    with_reading = any(m.reading_us for m in timed)
    peers = list(dict.fromkeys(name for m in timed for name in m.graph_peers))
    header = [*(["function"] if show_function else []), *timed[0].coordinates, "floor"]
    header += [*(["reading", "early"] if with_reading else []), "ours", "of floor"]
    header += [*(["of early"] if with_reading else []), *(peers if group.peer_columns else ["PyTorch"])]
    rows = []
    for m in timed:
        plain, early = m.reading_us if m.reading_us else (None, None)
        cells = [m.function] if show_function else []
        cells += [*m.coordinates.values(), format_us(m.floor_us)]
        cells += [format_us(plain), format_us(early)] if with_reading else []
        cells += [f"**{format_us(m.graph_us)}**", _share(m.floor_us, m.graph_us)]
        cells += [_share(early, m.graph_us)] if with_reading else []
        others = m.graph_peers
        cells += [format_us(others.get(name)) for name in peers] if group.peer_columns else [_named_peers(others)]
        rows.append(cells)
    return ["In a graph:", markdown_table(header, rows)]


def _layer_table(layers: Sequence[LayerMeasurement], bound: float) -> str:
    header = [*layers[0].coordinates, "sum of floors", "ours", "of floor", "cautious"]
    header += ["sum of steps alone", "PyTorch", "speed-up"]
    rows = []
    for m in layers:
        cells = [*m.coordinates.values(), format_us(m.floor_us)]
        cells += [f"**{format_us(m.us)}**", f"{100 * m.floor_us / m.us:.0f}%"] if m.us else ["failed", ABSENT]
        cells += [format_us(m.cautious_us), format_us(m.steps_us), format_us(m.pytorch_us)]
        cells += [f"{m.pytorch_us / m.us:.2f}x" if m.us and m.pytorch_us else ABSENT]
        cells += [_error(m.error) if m.error is None or m.error <= bound else f"**{_error(m.error)}**"]
        rows.append(cells)
    failures = [f"`layer {m.coordinates}`: {m.failure}" for m in layers if m.failure]
    return "\n\n".join([markdown_table([*header, "error"], rows), *failures])


def _step_table(layers: Sequence[LayerMeasurement]) -> str:
    header, rows = ["step"], [[step.name] for step in layers[0].steps]
    for m in layers:
        header += [f"B {m.coordinates['B']}: floor", "alone"]
        for row, step in zip(rows, m.steps):
            row += [format_us(step.floor_us), format_us(step.us)]
    return markdown_table(header, rows)


def _host_table(host: Sequence[HostTime]) -> str:
    rows = []
    for entry in host:
        sizes = ", ".join(f"{key} {value}" for key, value in entry.coordinates.items())
        rows.append([entry.function, sizes, f"**{format_us(entry.us)}**", _named_peers(entry.peers)])
    return markdown_table(["function", "sizes", "ours", "PyTorch"], rows)


def _named_peers(peers: dict[str, float]) -> str:
    return ", ".join(f"{format_us(us)} ({name})" for name, us in peers.items()) or ABSENT


def _meets(m: Measurement) -> bool:
    return m.us is not None and m.target_us is not None and m.us <= m.target_us


def _verdict(m: Measurement) -> str:
    """Whether the target is met, and if not, how far off it is."""
    if m.target_us is None or m.us is None:
        return ABSENT
    return "yes" if _meets(m) else f"+{100 * (m.us / m.target_us - 1):.0f}%"


def _of_floor(m: Measurement) -> str:
    return _share(m.floor_us, m.us)


def _share(floor_us: float | None, us: float | None) -> str:
    """Empty where the launch is all there is: a floor far below a launch says nothing."""
    return ABSENT if floor_us is None or us is None or floor_us < SMALL_FLOOR_US else f"{100 * floor_us / us:.0f}%"


def _speed_ups(group: Group, measurements: Sequence[Measurement]) -> str:
    """How many times faster than each peer, over the rows that have both."""
    ratios: dict[str, list[float]] = {}
    for m in measurements:
        if m.us is None:
            continue
        others = dict(m.peers) if group.peer_columns else dict(zip(["PyTorch"], m.peers.values()))
        if m.reference_us is not None:
            others["reference"] = m.reference_us
        for name, us in others.items():
            ratios.setdefault(name, []).append(us / m.us)
    means = [
        f"{statistics.geometric_mean(values):.2f}x {name} ({len(values)})" for name, values in sorted(ratios.items())
    ]
    return f"Speed, geometric mean (over how many rows): {', '.join(means)}." if means else ""


def _error(error: float | None) -> str:
    return ABSENT if error is None else f"{error:.1e}"

"""Measures every configuration of the matrix products and makes the tables that choose among them.

    ./bazelw run //bench:tune -- --out DIR
    PYTHONPATH=<folders of awq_tuning and of the built modules>:python python3 bench/tune.py --out DIR

writes DIR/tuning.json, a tuning_table.h per family, and DIR/tuning.md with plots: what wins where, and what the tables
cost. With --from tuning.json it measures nothing and needs no GPU. With --check it only compares the results of every
configuration with a reference, at sizes that are no multiples of tiles; for compute-sanitizer, too. Exit status: as
bench's; 1 if a result was wrong.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from machine import NO_MODULES, Unavailable, describe, require_gpu
from main import WRONG_RESULT, expression, user_path
from tuning_data import FAMILIES, Measurements, Point, ragged_shapes, shapes
from tuning_report import write_report
from tuning_table import write_tables

SAVED_EVERY = 20  # shapes


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = _parse(arguments)
    out = user_path(options.out)
    if options.source:
        measurements = Measurements.load(user_path(options.source))
        out.mkdir(parents=True, exist_ok=True)
    else:
        try:
            _require_module()
        except Unavailable as reason:
            print(f"tune: {reason}", file=sys.stderr)
            return reason.status
        if options.check:
            return _report_wrong(_check(options.only))
        out.mkdir(parents=True, exist_ok=True)
        measurements, wrong = _measure(options.only, options.graph, out / "tuning.json")
        if wrong:
            return _report_wrong(wrong)
    for path in write_tables(measurements, out) + write_report(measurements, out):
        print(f"wrote {path}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tune", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", default="tuning_results", help="folder for the results; default: %(default)s")
    parser.add_argument("--from", dest="source", metavar="FILE", help="no measuring: the tables of a tuning.json")
    parser.add_argument("--check", action="store_true", help="no times: whether all results are right")
    parser.add_argument(
        "--graph",
        action="store_true",
        help="up to 16 rows as decoding runs them: in a CUDA graph, on constant weights that come from memory; without "
        "it and for more rows, alone and from a cold L2 cache",
    )
    parser.add_argument("--only", type=expression, default="", metavar="REGEX", help="shapes by name")
    return parser.parse_args(arguments)


def _require_module() -> None:
    """Raises Unavailable without a GPU or awq_tuning."""
    require_gpu()
    try:
        import awq_tuning  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            NO_MODULES,
            f"cannot import awq_tuning: {error}\nRun ./bazelw run //bench:tune, which builds it, or build "
            "//bench:awq_tuning for this Python and set PYTHONPATH=<its folder>:python.",
        ) from error


def _report_wrong(wrong: list[str]) -> int:
    for line in wrong:
        print(f"WRONG {line}", file=sys.stderr)
    return WRONG_RESULT if wrong else 0


def _check(only: re.Pattern[str]) -> list[str]:
    # Needs PyTorch and the module, as what stands above does not.
    from tuning_measure import wrong_results

    selected = [shape for shape in ragged_shapes() if only.search(shape.name)]
    print(f"checking {len(selected)} shapes", flush=True)
    return list(wrong_results(selected))


def _measure(only: re.Pattern[str], graph: bool, path: Path) -> tuple[Measurements, list[str]]:
    """The measurements, and what was wrong. They are saved every now and then: a run that is cut off leaves them."""
    import awq_tuning
    from timing import Timer
    from tuning_measure import configurations, measure_points

    start = time.monotonic()
    selected = [shape for shape in shapes() if only.search(shape.name)]
    points: list[Point] = []
    wrong: list[str] = []
    timer = Timer(budget_ms=20, min_repetitions=9)

    def measurements() -> Measurements:
        return Measurements(
            describe({"awq_tuning": awq_tuning}) | {"duration": f"{time.monotonic() - start:.0f} s"},
            ["tune", *sys.argv[1:]],
            awq_tuning.this_device().sm_count,
            {family: configurations(family) for family in FAMILIES},
            points,
        )

    for number, (point, wrong_here) in enumerate(measure_points(selected, timer, graph), 1):
        points.append(point)
        if number % SAVED_EVERY == 0:
            measurements().save(path)
        wrong += wrong_here
        fastest = min(point.us, key=lambda choice: point.us[choice])
        print(
            f"[{number}/{len(selected)}] {point.shape.name}: {point.us[fastest]} us, {fastest.configuration}, "
            f"waves {fastest.waves}",
            flush=True,
        )
    complete = measurements()
    complete.save(path)
    return complete, wrong


if __name__ == "__main__":
    sys.exit(main())

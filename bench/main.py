"""Measures every function of the extension modules against PyTorch's operations and against this GPU's ceilings.

    ./bazelw run //bench -- --out DIR
    PYTHONPATH=<folder of the built modules>:python python3 bench/main.py --out DIR

writes DIR/results.json, DIR/report.md and plots. Exit status: 0 if every result was right, 1 if one was not, 2 for a
wrong command line, 3 without a usable GPU, 4 without the modules.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cases import CASES, LAYERS, Case, DecoderLayer
from machine import Unavailable, describe, load_modules, require_gpu
from report import layer_line, progress_line, write_report
from results import ERROR_BOUNDS, Run

WRONG_RESULT, WRONG_USAGE = 1, 2  # exit statuses; `Unavailable` has others


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = _parse(arguments)
    if options.from_results:
        run = options.from_results
    else:
        cases = [case for case in CASES if options.only.search(case.name) and options.dtype in case.dtypes]
        layers = [layer for layer in LAYERS if options.only.search(layer.name)]
        if options.list:
            print("\n".join([case.name for case in cases] + [layer.name for layer in layers]))
            return 0
        if not cases and not layers:
            print(f"bench: no {options.dtype} case matches --only {options.only.pattern}; see --list", file=sys.stderr)
            return WRONG_USAGE
        try:
            run = _measure(cases, layers, options)
        except Unavailable as reason:
            print(f"bench: {reason}", file=sys.stderr)
            return reason.status

    if options.reference:
        run = run.with_reference(options.reference)
    out = user_path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    run.save(out / "results.json")
    plots: list[str] = []
    if not options.quick:
        from plots import write_plots

        plots = write_plots(run, out)
    write_report(run, plots, out / "report.md")
    print(f"wrote {out / 'report.md'}, results.json and {len(plots)} plots")
    for measurement in run.wrong():
        print(f"WRONG {measurement.name}: {measurement.failure or f'error {measurement.error:.2g}'}", file=sys.stderr)
    for layer in run.wrong_layers():
        print(f"WRONG layer {layer.coordinates}: {layer.failure or f'error {layer.error:.2g}'}", file=sys.stderr)
    return WRONG_RESULT if run.wrong() or run.wrong_layers() else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="//bench:tune (bench/tune.py) measures all configurations of the matrix products and writes the tables "
        "by which they are chosen.",
    )
    parser.add_argument("--out", default="bench_results", help="folder for the results; default: %(default)s")
    parser.add_argument("--only", type=expression, default="", metavar="REGEX", help="cases by name")
    parser.add_argument("--dtype", choices=sorted(ERROR_BOUNDS), default="float16", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few repetitions, no plots")
    parser.add_argument("--host", action="store_true", help="nothing but the host's time per call")
    parser.add_argument("--list", action="store_true", help="print the cases' names and stop")
    parser.add_argument(
        "--reference",
        type=_results,
        metavar="FILE",
        help="results.json of a run with other modules on this GPU: the reports' reference column",
    )
    parser.add_argument(
        "--from-results", type=_results, metavar="FILE", help="no measuring: report and plots of a results.json"
    )
    return parser.parse_args(arguments)


def expression(text: str) -> re.Pattern[str]:
    """A command line's regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from error


def _results(name: str) -> Run:
    try:
        return Run.load(user_path(name))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"not results that a run wrote: {error}") from error


def user_path(name: str) -> Path:
    """`bazel run` starts programs in a folder of its own and says where the user was."""
    return Path(os.environ.get("BUILD_WORKING_DIRECTORY", "")) / name


def _measure(cases: list[Case], layers: list[DecoderLayer], options: argparse.Namespace) -> Run:
    start = time.monotonic()
    require_gpu()
    modules = load_modules()
    modules["awq_inference_engine"].set_constant_weights(True)
    # These need PyTorch and awq_kernels; what stands above does not.
    import torch
    from layer import measure_layer
    from measure import host_times, measure, measure_ceilings
    from timing import Timer

    dtype = getattr(torch, options.dtype)
    timer = Timer(budget_ms=15, min_repetitions=5) if options.quick else Timer()
    ceilings = measure_ceilings(dtype)
    print(
        f"copy {ceilings.copy / 1e12:.2f} TB/s, {options.dtype} {ceilings.fp16 / 1e12:.0f} TFLOP/s, "
        f"int8 (_int_mm) {ceilings.int_mm / 1e12:.0f} TOP/s",
        flush=True,
    )
    measurements = []
    gpu: str = torch.cuda.get_device_name()
    for number, case in enumerate([] if options.host else cases, 1):
        measurements.append(measure(case.on(gpu), modules, dtype, ceilings, timer))
        print(f"[{number:3}/{len(cases)}] {progress_line(measurements[-1])}", flush=True)
    layer_measurements = []
    for problem in [] if options.host else layers:
        layer_measurements.append(measure_layer(problem, modules["awq_inference_engine"], dtype, ceilings))
        print(layer_line(layer_measurements[-1]), flush=True)
        torch.cuda.empty_cache()
    host = []
    for entry in host_times(cases, modules, dtype, timer):
        host.append(entry)
        print(f"host {entry.function}: {entry.us:.1f} us", flush=True)
    facts = describe(modules) | {"duration": f"{time.monotonic() - start:.0f} s"}
    return Run(facts, ["bench", *sys.argv[1:]], options.dtype, ceilings, measurements, host, layer_measurements)


if __name__ == "__main__":
    sys.exit(main())

"""Times calls on the GPU, from a cold L2 cache and in a CUDA graph, and on the host."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Bound", "Call", "Timer", "Timing", "graph_us"]

Call = Callable[[], object]

FLUSH_BYTES = 256 << 20  # or four times the L2 cache, if that is more
HOST_MARGIN_US = 30.0  # what the host spends on a repetition besides the call: a fill and two event records
PAUSE_S = 0.1  # with 0, the median of an 8-bit product varied by 8% from run to run, with 0.1 by less than 1%
MAX_REPETITIONS = 1000
WARM_UP_SHARE = 4  # one unrecorded repetition per so many recorded ones


GRAPH_CALLS = 16  # in a graph, at least: its own start is shared out over them
MAX_COPIES = 64
GRAPH_SERIES = 7


@dataclass(frozen=True)
class Bound:
    """A function and its arguments."""

    function: Callable[..., object]
    arguments: tuple[object, ...]

    def __call__(self) -> object:
        return self.function(*self.arguments)

    def copy(self) -> Bound:
        """The same with the same values in other memory."""
        return Bound(self.function, tuple(a.clone() if isinstance(a, Tensor) else a for a in self.arguments))

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(a.numel() * a.element_size() for a in self.arguments if isinstance(a, Tensor))


@dataclass(frozen=True)
class Timing:
    """Microseconds: median, and the percentiles that tell how much to trust it."""

    median: float
    percentile_10: float
    percentile_90: float


class Timer:
    """Medians of many repetitions, each of them between two CUDA events and after the L2 cache was overwritten.

    What lies between the events is the GPU's time from the end of the flush to the end of the call: the launch latency
    of its first kernel (an empty kernel takes some microseconds), the kernels, and the gaps between them. Host time
    does not count as long as the host runs ahead of the GPU. It does: while the GPU fills the flush buffer, the host
    enqueues the call, and calls that need longer than one fill get several.

    The GPU rests before each series. Matrix products reach its power limit and lower its clocks for whatever follows:
    without a rest, a call pays for the one measured before it.

    Compared once with triton.testing.do_bench(f, return_mode="median") on an H200, 23 calls of 4 to 520 us, each twice:
    equal within 0.7 us or 1.5%, except for matrix products of 300 us, which do_bench finds 3-4% slower without the
    rest, and for a sequence of eager operations that the host enqueues too slowly for one fill (25 us here, 31 us
    there).

    Args:
        budget_ms: GPU time to spend on one call's repetitions.
        min_repetitions: recorded even if the budget does not allow them.
    """

    def __init__(self, budget_ms: float = 150.0, min_repetitions: int = 12) -> None:
        self._budget_us = 1e3 * budget_ms
        self._min_repetitions = min_repetitions
        cache_bytes: int = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self._flush = torch.empty(max(FLUSH_BYTES, 4 * cache_bytes), dtype=torch.uint8, device="cuda")
        new_event: Callable[..., torch.cuda.Event] = torch.cuda.Event
        self._events = [(new_event(enable_timing=True), new_event(enable_timing=True)) for _ in range(MAX_REPETITIONS)]
        self._flush_us = statistics.median(self._repeat(self._flush.zero_, repetitions=20, flushes=1))

    def gpu_us(self, call: Call) -> Timing:
        """Microseconds of `call` on the GPU."""
        self._enqueue_us(call, 3)  # loading of the kernels, workspaces, choice of an algorithm
        flushes = max(1, math.ceil((self._enqueue_us(call, 10) + HOST_MARGIN_US) / self._flush_us))
        estimate_us = statistics.median(self._repeat(call, repetitions=5, flushes=flushes))
        affordable = int(self._budget_us / (estimate_us + flushes * self._flush_us))
        repetitions = max(self._min_repetitions, min(MAX_REPETITIONS, affordable))
        time.sleep(PAUSE_S)
        self._enqueue(call, repetitions // WARM_UP_SHARE, flushes)
        samples = self._repeat(call, repetitions, flushes)
        deciles = statistics.quantiles(samples, n=10)
        return Timing(statistics.median(samples), deciles[0], deciles[-1])

    def compare_us(self, calls: Sequence[Call]) -> list[float]:
        """Microseconds of each call on the GPU, by turns: what the GPU's clocks do meets all of them alike."""
        flushes = max(math.ceil((self._enqueue_us(call, 3) + HOST_MARGIN_US) / self._flush_us) for call in calls)
        turn_us = sum(self._turn(calls, flushes)) + len(calls) * flushes * self._flush_us
        turns = max(self._min_repetitions, min(MAX_REPETITIONS, int(self._budget_us / turn_us)))
        samples = [self._turn(calls, flushes) for _ in range(turns)]
        return [statistics.median(values) for values in zip(*samples)]

    def _turn(self, calls: Sequence[Call], flushes: int) -> list[float]:
        events = self._events[: len(calls)]
        for call, (start, end) in zip(calls, events):
            for _ in range(flushes):
                self._flush.zero_()
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return [1e3 * start.elapsed_time(end) for start, end in events]

    def host_us(self, calls: Mapping[str, Call], batches: int = 20, repetitions: int = 50) -> dict[str, float]:
        """Microseconds the host needs to enqueue each call: medians of batches, each started on an idle GPU.

        A batch is short enough that the GPU's queue does not fill, which would make the host wait for the kernels.
        """
        samples: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            self._enqueue_us(call, repetitions)
        for _ in range(batches):
            for name, call in calls.items():
                samples[name].append(self._enqueue_us(call, repetitions))
        return {name: statistics.median(values) for name, values in samples.items()}

    def _enqueue_us(self, call: Call, repetitions: int) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(repetitions):
            call()
        elapsed = time.perf_counter() - start
        torch.cuda.synchronize()
        return 1e6 * elapsed / repetitions

    def _enqueue(self, call: Call, repetitions: int, flushes: int) -> None:
        for start, end in self._events[:repetitions]:
            for _ in range(flushes):
                self._flush.zero_()
            start.record()
            call()
            end.record()

    def _repeat(self, call: Call, repetitions: int, flushes: int) -> list[float]:
        self._enqueue(call, repetitions, flushes)
        torch.cuda.synchronize()
        return [1e3 * start.elapsed_time(end) for start, end in self._events[:repetitions]]

    def rotating_us(self, call: Bound) -> float:
        """Microseconds of `call` in a CUDA graph of calls one after another, as in decoding.

        The calls take turns over copies of the tensors that exceed the L2 cache several times: all data comes from
        memory, and nothing is there to be written back but what the calls themselves have written.
        """
        return self.in_turn_us([call, *(call.copy() for _ in range(self.copies(call.bytes) - 1))])

    def copies(self, size: int) -> int:
        """How many tensors of `size` bytes together exceed the L2 cache several times."""
        return min(MAX_COPIES, math.ceil(self._flush.numel() / max(1, size)))

    def in_turn_us(self, calls: Sequence[Call], budget_share: float = 1) -> float:
        """Microseconds of a call, in a CUDA graph of these calls one after another, repeated until they are enough."""
        calls = list(calls) * math.ceil(GRAPH_CALLS / len(calls))
        return graph_us(calls, self._budget_us * budget_share) / len(calls)


def graph_us(calls: Sequence[Call], budget_us: float) -> float:
    """Microseconds of a graph of all calls, the median over a few series of replays without gaps."""
    new_stream: Callable[[], torch.cuda.Stream] = torch.cuda.Stream
    new_event: Callable[..., torch.cuda.Event] = torch.cuda.Event
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    # Not torch.cuda.graph(), which first has Python and the allocator clean up each time.
    with torch.cuda.stream(new_stream()):
        for call in calls:  # what is set up at first use must not be captured
            call()
        torch.cuda.synchronize()
        graph.capture_begin()
        try:
            for call in calls:
                call()
        finally:
            graph.capture_end()

    def replay(times: int) -> float:
        start, end = (new_event(enable_timing=True) for _ in range(2))
        graph.replay()
        start.record()
        for _ in range(times):
            graph.replay()
        end.record()
        end.synchronize()
        us: float = 1e3 * start.elapsed_time(end) / times
        return us

    estimate_us = replay(2)
    times = max(2, min(100, int(budget_us / (GRAPH_SERIES * estimate_us))))
    return statistics.median(replay(times) for _ in range(GRAPH_SERIES))

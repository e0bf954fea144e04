"""Times a call on the GPU from a cold L2 cache, and on the host."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch

__all__ = ["Timer"]

Call = Callable[[], object]

FLUSH_BYTES = 256 << 20  # or four times the L2 cache, if that is more
HOST_MARGIN_US = 30.0  # what the host spends on a repetition besides the call: a fill and two event records
WARM_UP_SHARE = 4  # one unrecorded repetition per so many recorded ones


class Timer:
    """Medians of many repetitions, each of them between two CUDA events and after the L2 cache was overwritten.

    What lies between the events is the GPU's time from the end of the flush to the end of the call: the launch latency
    of its first kernel (an empty kernel takes some microseconds), the kernels, and the gaps between them. Host time
    does not count as long as the host runs ahead of the GPU. It does: while the GPU fills the flush buffer, the host
    enqueues the call, and calls that need longer than one fill get several.

    Args:
        budget_ms: GPU time to spend on one call's repetitions.
        min_repetitions: recorded even if the budget does not allow them.
    """

    MAX_REPETITIONS = 1000

    def __init__(self, budget_ms: float = 120.0, min_repetitions: int = 12) -> None:
        self._budget_us = 1e3 * budget_ms
        self._min_repetitions = min_repetitions
        cache_bytes: int = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self._flush = torch.empty(max(FLUSH_BYTES, 4 * cache_bytes), dtype=torch.uint8, device="cuda")
        new_event: Callable[..., torch.cuda.Event] = torch.cuda.Event
        self._events = [
            (new_event(enable_timing=True), new_event(enable_timing=True)) for _ in range(self.MAX_REPETITIONS)
        ]
        self._flush_us = statistics.median(self._repeat(self._flush.zero_, repetitions=20, flushes=1))

    def gpu_us(self, call: Call) -> float:
        """Median microseconds of `call` on the GPU."""
        for _ in range(3):  # loading of the kernels, workspaces, choice of an algorithm
            call()
        flushes = max(1, math.ceil((self._enqueue_us(call, 10) + HOST_MARGIN_US) / self._flush_us))
        estimate_us = statistics.median(self._repeat(call, repetitions=5, flushes=flushes))
        affordable = int(self._budget_us / (estimate_us + flushes * self._flush_us))
        repetitions = max(self._min_repetitions, min(self.MAX_REPETITIONS, affordable))
        self._enqueue(call, repetitions // WARM_UP_SHARE, flushes)
        return statistics.median(self._repeat(call, repetitions, flushes))

    def host_us(self, call: Call, batches: int = 20, calls: int = 50) -> float:
        """Microseconds the host needs to enqueue `call`: the median of batches, each started on an idle GPU.

        A batch is short enough that the GPU's queue does not fill, which would make the host wait for the kernels.
        """
        for _ in range(3):
            call()
        return statistics.median(self._enqueue_us(call, calls) for _ in range(batches))

    def _enqueue_us(self, call: Call, calls: int) -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        elapsed = time.perf_counter() - start
        torch.cuda.synchronize()
        return 1e6 * elapsed / calls

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

"""The least time a problem can take: what it has to move and compute, over what the GPU was measured to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Ceilings", "Unit", "Work"]

Unit = Literal["fp16", "int8"]


@dataclass(frozen=True)
class Work:
    """What a problem asks for at least.

    Attributes:
        bytes: each input read once, each output written once.
        operations: multiplications and additions of matrix products; 0 where memory alone counts.
        unit: the arithmetic of those operations.
    """

    bytes: int
    operations: int = 0
    unit: Unit = "fp16"

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.bytes


@dataclass(frozen=True)
class Ceilings:
    """Rates of one GPU, measured in the run whose results they stand beside, in its fastest repetitions.

    Attributes:
        copy: bytes per second of a large device-to-device copy, bytes read plus bytes written.
        fp16: operations per second of the 8192^3 matrix product, in fp16 or in the run's other 16-bit type.
        int_mm: operations per second of the same product by `torch._int_mm`.
    """

    copy: float
    fp16: float
    int_mm: float

    def rate(self, unit: Unit) -> float:
        """Operations per second that count as attainable.

        The matrix units multiply int8 at twice the rate of fp16; `torch._int_mm` may stay far below that, and a floor
        made from a slow product would be passed. So int8 gets whichever is higher.
        """
        return self.fp16 if unit == "fp16" else max(self.int_mm, 2 * self.fp16)

    def floor_us(self, work: Work) -> float:
        """Microseconds below which no kernel gets, up to the little by which pure reads outrun a copy."""
        return 1e6 * max(work.bytes / self.copy, work.operations / self.rate(work.unit))

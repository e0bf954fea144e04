"""What tuning measures and on what shapes, and its form on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "FAMILIES",
    "MAX_WAVES",
    "Choice",
    "Configuration",
    "Measurements",
    "Point",
    "Shape",
    "ragged_shapes",
    "shapes",
]

FAMILIES = ("w4a16", "w8a8")
MAX_WAVES = 2  # that a problem is cut to fill


@dataclass(frozen=True, order=True)
class Shape:
    """A product `[m, k]` times `[n, k]`.

    Attributes:
        kind: v2, v2_bf16 and v1 of the family w4a16, or w8a8.
        group_size: of 4-bit weights; 0 for w8a8.
    """

    kind: str
    n: int
    k: int
    m: int
    group_size: int

    @property
    def name(self) -> str:
        """As `v2/N,K=28672x4096,M=16`."""
        group = f",G={self.group_size}" if self.group_size not in (0, 128) else ""
        return f"{self.kind}/N,K={self.n}x{self.k},M={self.m}{group}"

    @property
    def is_usual(self) -> bool:
        """Whether tables are made for it: of a group size that all kernels know. For others, rows may not serve."""
        return self.group_size in (0, 128)

    @property
    def family(self) -> str:
        return "w8a8" if self.kind == "w8a8" else "w4a16"


@dataclass(frozen=True, order=True)
class Choice:
    """A configuration, and how many waves of blocks the problem is cut to fill; 0: it is not cut."""

    configuration: str
    waves: int


@dataclass(frozen=True)
class Configuration:
    """What the table's maker has to know of a configuration.

    Attributes:
        arch: the only one it runs on, or 0.
        tokens: of a tile.
        channels: of a tile.
        smem_bytes: that a block has to be able to have.
    """

    arch: int
    tokens: int
    channels: int
    smem_bytes: int


@dataclass(frozen=True)
class Point:
    """Microseconds of every choice for a shape. Choices that cut it alike share a time; absent: cannot run."""

    shape: Shape
    us: dict[Choice, float]


@dataclass(frozen=True)
class Measurements:
    """A run of the tuning tool.

    Attributes:
        machine: GPU, versions, date.
        command: that made it.
        sm_count: multiprocessors of the GPU.
        configurations: by family and name.
        points: in the order of the shapes.
    """

    machine: dict[str, str]
    command: list[str]
    sm_count: int
    configurations: dict[str, dict[str, Configuration]]
    points: list[Point]

    def save(self, path: Path) -> None:
        """Writes JSON, a point to a line: kind, N, K, M, group size, and the times in the order of the configurations.

        A configuration has a time for each number of waves, of which the last holds for more, too; or null.
        """
        head = {
            "machine": self.machine,
            "command": self.command,
            "sm_count": self.sm_count,
            "configurations": {
                family: {name: dataclasses.astuple(entry) for name, entry in entries.items()}
                for family, entries in self.configurations.items()
            },
        }
        lines = []
        for point in self.points:
            times = []
            for name in self.configurations[point.shape.family]:
                values = [point.us[c] for c in (Choice(name, w) for w in range(MAX_WAVES + 1)) if c in point.us]
                while len(values) > 1 and values[-1] == values[-2]:
                    values.pop()
                times.append(values or None)
            lines.append(json.dumps([*dataclasses.astuple(point.shape), times], separators=(",", ":")))
        text = json.dumps(head, indent=1).removesuffix("\n}")
        path.write_text(text + ',\n "points": [\n' + ",\n".join(lines) + "\n ]\n}\n")

    @staticmethod
    def load(path: Path) -> Measurements:
        """Reads what `save` wrote."""
        content: dict[str, Any] = json.loads(path.read_text())
        configurations = {
            family: {name: Configuration(*entry) for name, entry in entries.items()}
            for family, entries in content.pop("configurations").items()
        }
        points = []
        for *sizes, times in content.pop("points"):
            shape = Shape(*sizes)
            us = {}
            for name, values in zip(configurations[shape.family], times):
                for waves in range(MAX_WAVES + 1 if values else 0):
                    us[Choice(name, waves)] = values[min(waves, len(values) - 1)]
            points.append(Point(shape, us))
        return Measurements(configurations=configurations, points=points, **content)


# (N, K) of Llama 2 and 3, Qwen 2.5 and Mistral layers, whole or shared by several GPUs.
_LAYERS = (
    (1024, 4096),
    (1152, 896),
    (1280, 8192),
    (1536, 8960),
    (2048, 1536),
    (2048, 4096),
    (3584, 3584),
    (3584, 18944),
    (4096, 4096),
    (4096, 11008),
    (4096, 14336),
    (4608, 3584),
    (5120, 5120),
    (5120, 13824),
    (5120, 27648),
    (6144, 4096),
    (7168, 5120),
    (7168, 8192),
    (8192, 3584),
    (8192, 8192),
    (8192, 28672),
    (9728, 896),
    (10240, 8192),
    (11008, 4096),
    (12288, 4096),
    (14336, 4096),
    (15360, 5120),
    (17920, 1536),
    (22016, 4096),
    (27648, 5120),
    (28672, 4096),
    (37888, 3584),
    (55296, 5120),
    (57344, 8192),
)
_ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192, 16384)
# Where the other kinds of 4-bit weights, which run the same kernels, are looked at.
_FEW_LAYERS = ((4096, 4096), (4096, 14336), (6144, 4096), (28672, 4096))
_FEW_ROWS = (1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_MANY_ROWS_LAYERS = (*_FEW_LAYERS, (3584, 3584), (5120, 13824), (10240, 8192), (22016, 4096))
_MANY_ROWS = 2048


def shapes() -> Iterator[Shape]:
    """All that is measured, the kinds one after another, shapes of one weight together."""
    for kind, group_size in (("v2", 128), ("w8a8", 0)):
        for n, k in _LAYERS:
            for m in _ROWS:
                if m < _MANY_ROWS or (n, k) in _MANY_ROWS_LAYERS:
                    yield Shape(kind, n, k, m, group_size)
    for kind, group_size in (("v1", 128), ("v2_bf16", 128), ("v2", 64)):
        for n, k in _FEW_LAYERS:
            for m in _FEW_ROWS:
                yield Shape(kind, n, k, m, group_size)


# N and K that are no multiples of tiles and stages, for 4-bit and for 8-bit weights. Two of the former are whole tiles
# of 16 channels, for the kernels that need that: fewer than blocks, and more than blocks times stages.
_RAGGED_4 = ((100, 384), (260, 1152), (264, 4480), (520, 2048), (272, 1152), (20000, 640))
_RAGGED_8 = ((8, 16), (100, 144), (264, 1040), (2824, 272), (8456, 144), (12304, 4112))
_RAGGED_ROWS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 129, 257, 300)


def ragged_shapes() -> Iterator[Shape]:
    """Where tiles end within blocks, for every kind and group size: not to be timed, only to be right."""
    for kind, group_sizes in (("v2", (32, 64, 128)), ("v2_bf16", (32, 128)), ("v1", (64, 128))):
        for group_size in group_sizes:
            for n, k in _RAGGED_4:
                yield from (Shape(kind, n, k, m, group_size) for m in _RAGGED_ROWS)
    for n, k in _RAGGED_8:
        yield from (Shape("w8a8", n, k, m, 0) for m in _RAGGED_ROWS)

"""What a run found out, and its form on disk."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roofline import Ceilings, Unit, Work

__all__ = ["ERROR_BOUNDS", "LAYER_ERROR_FACTOR", "HostTime", "LayerMeasurement", "Measurement", "Run", "StepTime"]

# ||out - reference|| / ||reference|| that is accepted: some roundings of the 16-bit type.
ERROR_BOUNDS = {"float16": 1e-3, "bfloat16": 4e-3}
LAYER_ERROR_FACTOR = 4  # a layer rounds after each of its eight steps


@dataclass(frozen=True)
class Measurement:
    """One case, measured.

    Attributes:
        name: of the case.
        group: of the case.
        function: of the case, with its module if that is not awq_inference_engine.
        coordinates: the sizes as the tables show them.
        bytes: read and written at least.
        operations: at least.
        unit: of the operations.
        target_us: microseconds it should take on an H200, if stated.
        reference_us: microseconds the public AWQ kernel took on an H200, or the run that `Run.reference` names.
        us: microseconds it took, the median; None if it failed.
        spread_us: 10th and 90th percentile.
        floor_us: microseconds it takes at least by the run's ceilings.
        peers: microseconds that PyTorch's operations took.
        graph_us: microseconds in a CUDA graph of calls on rotating copies.
        graph_peers: the peers', measured likewise.
        reading_us: of a kernel that only reads as many bytes, in a graph: plainly, and loading ahead; empty if unknown.
        error: ||out - reference|| / ||reference|| against a float32 reference.
        failure: the exception's words, if it failed.
    """

    name: str
    group: str
    function: str
    coordinates: dict[str, str]
    bytes: int
    operations: int
    unit: Unit
    target_us: float | None
    reference_us: float | None
    floor_us: float
    us: float | None = None
    spread_us: list[float] = field(default_factory=list)
    peers: dict[str, float] = field(default_factory=dict)
    graph_us: float | None = None
    graph_peers: dict[str, float] = field(default_factory=dict)
    reading_us: list[float] = field(default_factory=list)
    error: float | None = None
    failure: str = ""

    @property
    def work(self) -> Work:
        return Work(self.bytes, self.operations, self.unit)

    @property
    def floor_fraction(self) -> float | None:
        """How much of the attainable rate was attained."""
        return None if self.us is None else self.floor_us / self.us


@dataclass(frozen=True)
class HostTime:
    """Microseconds the host needs to enqueue one call."""

    function: str
    coordinates: dict[str, str]
    us: float
    peers: dict[str, float]


@dataclass(frozen=True)
class StepTime:
    """One step of a layer: what it takes at least, and in a graph of the same step of several layers."""

    name: str
    floor_us: float
    us: float | None


@dataclass(frozen=True)
class LayerMeasurement:
    """A decoder layer, measured as one graph of several layers.

    Attributes:
        coordinates: the sizes as the table shows them.
        steps: its launches.
        us: microseconds of a layer, with the promise of set_constant_weights(); None if it failed.
        cautious_us: without it.
        pytorch_us: of the same layer with 16-bit weights by PyTorch's operations, in a graph as well.
        error: ||out - reference|| / ||reference|| of the layer's output against float32 throughout.
        failure: the exception's words, if it failed.
    """

    coordinates: dict[str, str]
    steps: list[StepTime]
    us: float | None = None
    cautious_us: float | None = None
    pytorch_us: float | None = None
    error: float | None = None
    failure: str = ""

    @property
    def floor_us(self) -> float:
        """The sum over the steps."""
        return sum(step.floor_us for step in self.steps)

    @property
    def steps_us(self) -> float | None:
        """The sum of the steps' own times."""
        times = [step.us for step in self.steps if step.us is not None]
        return sum(times) if len(times) == len(self.steps) else None


@dataclass(frozen=True)
class Run:
    """Everything of one run.

    Attributes:
        machine: what it ran on: GPU, driver, versions, date, checksums of the modules.
        command: the command line.
        dtype: float16 or bfloat16.
        ceilings: of the GPU.
        measurements: in the order of the cases.
        host: host times.
        layers: decoder layers.
        reference: what the reference times are of, if not of the public AWQ kernels.
    """

    machine: dict[str, str]
    command: list[str]
    dtype: str
    ceilings: Ceilings
    measurements: list[Measurement]
    host: list[HostTime]
    layers: list[LayerMeasurement] = field(default_factory=list)
    reference: str = ""

    def with_reference(self, other: Run) -> Run:
        """With another run's times for the reference's, case by case; none where the other has none."""
        times = {m.name: m.us for m in other.measurements}
        measurements = [dataclasses.replace(m, reference_us=times.get(m.name)) for m in self.measurements]
        module = other.machine.get("awq_inference_engine", "modules unknown")
        date = other.machine.get("date", "at an unknown time")
        reference = f"{module}, measured {date}, {len(other.wrong())} of its results beyond the bound"
        return dataclasses.replace(self, measurements=measurements, reference=reference)

    def wrong(self) -> list[Measurement]:
        """Those that failed, or whose error is above the bound or NaN."""
        bound = ERROR_BOUNDS[self.dtype]
        return [m for m in self.measurements if m.failure or not (m.error is not None and m.error <= bound)]

    def wrong_layers(self) -> list[LayerMeasurement]:
        """As `wrong`."""
        bound = LAYER_ERROR_FACTOR * ERROR_BOUNDS[self.dtype]
        return [m for m in self.layers if m.failure or not (m.error is not None and m.error <= bound)]

    def save(self, path: Path) -> None:
        """Writes JSON."""
        content = dataclasses.asdict(self)
        for measurement, entry in zip(self.measurements, content["measurements"]):
            entry["floor_fraction"] = measurement.floor_fraction
        path.write_text(json.dumps(content, indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> Run:
        """Reads what `save` wrote."""
        content: dict[str, Any] = json.loads(path.read_text())
        measurements = []
        for entry in content.pop("measurements"):
            del entry["floor_fraction"]
            measurements.append(Measurement(**entry))
        host = [HostTime(**entry) for entry in content.pop("host")]
        layers = []
        for entry in content.pop("layers", []):
            steps = [StepTime(**step) for step in entry.pop("steps")]
            layers.append(LayerMeasurement(steps=steps, **entry))
        ceilings = Ceilings(**content.pop("ceilings"))
        return Run(ceilings=ceilings, measurements=measurements, host=host, layers=layers, **content)

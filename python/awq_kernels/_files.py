"""Files that hold tensors, safetensors and PyTorch's own. Headers are read at once, tensors when they are asked for.

Nothing is executed from a file: safetensors hold no code, and PyTorch's files are read with `weights_only=True`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import pathlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor

_EXTRA = "pip install 'awq-kernels[checkpoint]'"

_SAFETENSORS_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read; the message names file and tensor, what was found and what was expected."""


def fail(where: object, what: str, found: object, expected: object, cure: str = "") -> NoReturn:
    """Raises a CheckpointError about `what` (a tensor, a key) in `where` (a file)."""
    raise CheckpointError(f"{where}: {what}: found {found}, expected {expected}" + (f". {cure}" if cure else ""))


def optional(package: str) -> Any:
    """A package that the extra `checkpoint` brings."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"reading this checkpoint needs {error.name}: {_EXTRA}", name=error.name) from error


@contextlib.contextmanager
def progress_bar(what: str, total: int, progress: bool | None) -> Iterator[Callable[[int], object]]:
    """A bar on stderr of `total` bytes, advanced by what it yields; None draws it only on a terminal."""
    if progress is False:
        yield lambda size: None
        return
    tqdm = optional("tqdm").tqdm
    with tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None if progress is None else False) as bar:
        yield bar.update


@dataclass(frozen=True)
class Entry:
    """What a header says of one tensor.

    Attributes:
        file: the file that holds it.
        kind: its dtype, or the name of a GGUF quantization such as "Q4_1".
        shape: sizes of its dimensions; for GGUF of the weights, not of the blocks.
        nbytes: its size in the file.
    """

    file: pathlib.Path
    kind: torch.dtype | str
    shape: tuple[int, ...]
    nbytes: int


class Source(Protocol):
    """Tensors by name."""

    entries: dict[str, Entry]

    def read(self, name: str) -> Tensor:
        """A tensor on the CPU, mapped from the file where the format allows; quantized ones of GGUF as uint8 blocks."""
        ...

    def dequantized(self, name: str) -> Tensor:
        """A tensor of GGUF, whatever its type, in float32."""
        ...


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts layer 2 before layer 10."""
    return tuple((0, int(part), "") if re.fullmatch("[0-9]{1,9}", part) else (1, 0, part) for part in name.split("."))


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(value, dict):
        fail(path, "content", f"a JSON {type(value).__name__}", "an object")
    return value


# ---- safetensors -----------------------------------------------------------------------------------------------------


class SafetensorsFiles:
    """The tensors of some safetensors files."""

    def __init__(self, files: dict[pathlib.Path, set[str] | None]) -> None:
        """`files` names the tensors to take from each; None for all."""
        safetensors = optional("safetensors")
        self.entries: dict[str, Entry] = {}
        self._handles: dict[pathlib.Path, Any] = {}
        for path, wanted in files.items():
            try:
                handle = safetensors.safe_open(path, framework="pt", device="cpu")
                names = set(handle.keys())
                headers = {name: handle.get_slice(name) for name in names}
                described = {name: (header.get_dtype(), tuple(header.get_shape())) for name, header in headers.items()}
            except Exception as error:  # the library has its own, and passes on what reading a file can raise
                raise CheckpointError(
                    f"{path}: not a whole safetensors file ({path.stat().st_size} bytes): {error}"
                ) from error
            self._handles[path] = handle
            missing = sorted((wanted or set()) - names)
            if missing:
                fail(
                    path,
                    missing[0],
                    f"no such tensor (of {len(missing)} that are missing)",
                    "what the index says",
                    "The index and this file belong to different checkpoints, or the download is incomplete",
                )
            for name in names if wanted is None else wanted:
                label, shape = described[name]
                dtype = _SAFETENSORS_DTYPES.get(label)
                if dtype is None:
                    fail(path, name, f"type {label}", "one of " + ", ".join(_SAFETENSORS_DTYPES))
                self.entries[name] = Entry(path, dtype, shape, math.prod(shape) * dtype.itemsize)

    def read(self, name: str) -> Tensor:
        """See Source."""
        entry = self.entries[name]
        try:
            tensor: Tensor = self._handles[entry.file].get_tensor(name)
        except Exception as error:
            raise CheckpointError(f"{entry.file}: {name}: {error}") from error
        return tensor

    def dequantized(self, name: str) -> Tensor:
        """See Source."""
        return self.read(name).float()


def shards_of_index(index: pathlib.Path) -> dict[pathlib.Path, set[str] | None]:
    """The files that an index names, and the tensors it says are in each."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        fail(index, "weight_map", f"{type(weight_map).__name__}", "an object that maps tensors to files")
    files: dict[pathlib.Path, set[str] | None] = {}
    for tensor, name in weight_map.items():
        # A name with a folder in it would lead out of the checkpoint.
        if not isinstance(name, str) or pathlib.PurePath(name).name != name or "\0" in name:
            fail(index, tensor, repr(name), "the name of a file beside the index")
        tensors = files.setdefault(index.parent / name, set())
        assert tensors is not None
        tensors.add(tensor)
    missing = sorted(path.name for path in files if not path.is_file())
    if missing:
        fail(
            index,
            "weight_map",
            f"{', '.join(missing[:5])} missing ({len(missing)} of {len(files)} files)",
            "every file that it names",
            "Download the missing files",
        )
    return files


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


class TorchFiles:
    """The tensors of some files that `torch.save` wrote."""

    def __init__(self, files: dict[pathlib.Path, set[str] | None]) -> None:
        """`files` names the tensors to take from each; None for all."""
        self.entries: dict[str, Entry] = {}
        self._tensors: dict[str, Tensor] = {}
        for path, wanted in files.items():
            for name, tensor in self._load(path).items():
                if wanted is not None and name not in wanted:
                    continue
                self._tensors[name] = tensor
                self.entries[name] = Entry(path, tensor.dtype, tuple(tensor.shape), tensor.numel() * tensor.itemsize)
            missing = sorted(name for name in wanted or () if name not in self._tensors)
            if missing:
                fail(path, missing[0], "no such tensor", "what the index says")

    def _load(self, path: pathlib.Path) -> dict[str, Tensor]:
        try:
            with path.open("rb") as file:
                mapped = file.read(4) == b"PK\x03\x04"  # files from before PyTorch 1.6 are no archives
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:
            raise CheckpointError(
                f"{path}: not a whole file of tensors alone: {_first_sentence(error)}. Only tensors, numbers, strings, "
                "lists and dicts are read; a file with other Python objects could execute code and is refused"
            ) from error
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
        if not isinstance(content, dict):
            fail(path, "content", type(content).__name__, "a state_dict")
        for name, value in content.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                fail(path, str(name), type(value).__name__, "a tensor")
            if value.layout != torch.strided or value.device.type != "cpu":
                fail(path, name, f"a {value.layout} tensor on {value.device}", "a dense tensor on the CPU")
            if value.untyped_storage().nbytes() < value.numel() * value.itemsize:
                found = f"{value.untyped_storage().nbytes()} bytes for shape {list(value.shape)} of {value.dtype}"
                fail(path, name, found, f"{value.numel() * value.itemsize}")
        return content

    def read(self, name: str) -> Tensor:
        """See Source."""
        return self._tensors[name]

    def dequantized(self, name: str) -> Tensor:
        """See Source."""
        return self.read(name).float()


def _first_sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # torch wraps the reason for refusing a pickle in advice on how to load it all the same, which is not for here.
    reason = next((line for line in lines if "WeightsUnpickler error" in line), lines[0])
    return reason.removeprefix("WeightsUnpickler error:").strip().rstrip(".")[:300]

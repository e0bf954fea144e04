"""Reads 4-bit checkpoints of others and hands out layers as the kernels take them; converts whole checkpoints.

| what | formats |
| --- | --- |
| folder as on Hugging Face, AWQ | AutoAWQ's `gemm`, `gemv` and `gemv_fast` |
| folder as on Hugging Face, GPTQ | v1 and v2, without act-order |
| folder as on Hugging Face, compressed-tensors | `pack-quantized`, symmetric and asymmetric |
| `.pt` file | llm-awq v2 |
| `.gguf` file | Q4_0 and Q4_1; tensors of other types are dequantized to 16 bits |

    checkpoint = awq_kernels.checkpoint.open("folder")
    packed = checkpoint.linear("model.layers.0.mlp.up_proj", device="cuda")  # a PackedV2
    norm = checkpoint.tensor("model.norm.weight", device="cuda")

Files are mapped, and one tensor is read at a time. Nothing is executed from a file. The packages safetensors, gguf and
tqdm come with `pip install 'awq-kernels[checkpoint]'`.

    python -m awq_kernels.checkpoint show FOLDER               # what is in it, and what would be done with it
    python -m awq_kernels.checkpoint convert FOLDER --out NEW  # a folder in layout v2, which loads without conversion

The converted folder is one of AutoAWQ's `gemv_fast`, whose tensors are layout v2.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from awq_kernels import _formats, _gguf, packing
from awq_kernels._files import (
    CheckpointError,
    Entry,
    SafetensorsFiles,
    Source,
    TorchFiles,
    fail,
    natural,
    optional,
    progress_bar,
    read_json,
    shards_of_index,
)
from awq_kernels._formats import Linear
from awq_kernels.packing import PackedV1, PackedV2

__all__ = ["Checkpoint", "CheckpointError", "Entry", "Linear", "convert", "open"]

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
# Small files of a model's folder that belong to it. Code (*.py) is not taken along.
_COMPANIONS = ("*.json", "*.model", "*.txt", "*.jinja", "*.md", "LICENSE*", "NOTICE*")


class Checkpoint:
    """An open checkpoint. Headers have been read and checked; tensors are read when they are asked for.

    Attributes:
        path: the folder or file.
        format: what users call its format, such as "AutoAWQ gemm"; "16 bits" if it has no 4-bit layers.
        config: the content of config.json without `quantization_config`; for a GGUF file made from its metadata; empty
            if there is none.
        linears: the 4-bit layers, by the module's name.
        tensors: what the headers say of all other tensors (embeddings, norms, biases, 16-bit layers), by name.
        dtype: the dtype that `linear` and `tensor` give by default, float16 or bfloat16.
    """

    def __init__(
        self,
        path: pathlib.Path,
        source: Source,
        format: str,
        config: dict[str, Any],
        linears: dict[str, Linear],
        tensors: dict[str, Entry],
    ) -> None:
        """What `open` has found."""
        self.path, self.format, self.config, self.linears, self.tensors = path, format, config, linears, tensors
        self._source = source
        named = str(config.get("torch_dtype") or config.get("dtype") or "").removeprefix("torch.")
        self.dtype = _DTYPES.get(named, torch.float16)
        for linear in linears.values():
            for entry in linear.entries.values():
                if isinstance(entry.kind, torch.dtype) and entry.kind in _DTYPES.values():
                    self.dtype = entry.kind

    @torch.no_grad()
    def linear(self, name: str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> PackedV2:
        """The weight of a 4-bit layer in layout v2.

        Args:
            name: the module's name, a key of `linears`.
            device: where the file's tensors go to be converted; that of the result.
            dtype: of the scales, float16 or bfloat16; the checkpoint's by default.

        Raises:
            KeyError: the checkpoint has no such layer.
            ValueError: `dtype` is another.
            CheckpointError: the tensors are not what the format asks for.
        """
        linear = self.linears[name]
        dtype = dtype or self.dtype
        if dtype not in _DTYPES.values():
            raise ValueError(f"linear: dtype must be float16 or bfloat16, got {packing._name(dtype)}")
        stored = {suffix: self._source.read(f"{name}.{suffix}").to(device) for suffix in linear.entries}
        return _formats.pack(linear, stored, dtype)

    def linear_v1(self, name: str, device: torch.device | str = "cpu") -> PackedV1:
        """The weight of a 4-bit layer in layout v1, for code that has not moved to v2.

        Raises:
            KeyError: the checkpoint has no such layer.
            CheckpointError: as `linear`; or layout v1 cannot store it, which takes a group size of 64 or 128 and zero
                points that are integers.
        """
        try:
            return packing.pack_v1(packing.unpack_v2(self.linear(name, device, torch.float16)))
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {name}: no layout v1: {error}") from error

    def tensor(self, name: str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """One of the other tensors.

        Args:
            name: a key of `tensors`.
            device: where to put it.
            dtype: to cast floating-point tensors to; as stored by default, and `self.dtype` for quantized ones of GGUF.

        Raises:
            KeyError: the checkpoint has no such tensor.
            CheckpointError: the tensor cannot be read, or has values that overflow in `dtype`.
        """
        entry = self.tensors[name]
        quantized = isinstance(entry.kind, str)
        stored = (self._source.dequantized if quantized else self._source.read)(name)
        wanted = dtype or (self.dtype if quantized else stored.dtype)
        if not stored.is_floating_point() or stored.dtype == wanted:
            return stored.to(device)
        tensor = stored.to(device).to(wanted)
        if bool(tensor.isinf().any()) and not bool(stored.isinf().any()):
            largest = float(stored.nan_to_num().abs().max())
            cure = "Ask for dtype bfloat16, which has float32's range"
            fail(entry.file, name, f"values up to {largest:g}", f"what {packing._name(wanted)} can hold", cure)
        return tensor

    def read(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        names: Iterable[str] | None = None,
        progress: bool | None = None,
    ) -> Iterator[tuple[str, PackedV2 | Tensor]]:
        """Layers and other tensors, one at a time, by name: `linear(name)` or `tensor(name)`.

        Args:
            device: as in `linear` and `tensor`.
            dtype: as in `linear` and `tensor`.
            names: what to read; everything by default.
            progress: whether to draw a bar on stderr; by default only on a terminal.

        Raises:
            KeyError: the checkpoint has nothing of such a name.
            CheckpointError: as `linear` and `tensor`.
        """
        sizes = self.sizes()
        wanted = list(sizes if names is None else names)
        with progress_bar("reading", sum(sizes[name] for name in wanted), progress) as advance:
            for name in wanted:
                read = self.linear if name in self.linears else self.tensor
                yield name, read(name, device, dtype)
                advance(sizes[name])

    def sizes(self) -> dict[str, int]:
        """Bytes in the files of each layer and each other tensor, by name."""
        sizes = {name: linear.nbytes for name, linear in self.linears.items()}
        return sizes | {name: entry.nbytes for name, entry in self.tensors.items()}


def open(path: str | os.PathLike[str], *, neox: bool = True) -> Checkpoint:
    """Opens a checkpoint and checks its headers.

    Args:
        path: a folder with config.json and safetensors (or PyTorch) files, a `.safetensors`, `.pt`, `.pth` or `.bin`
            file, or a `.gguf` file. A config.json beside a file counts.
        neox: GGUF files of Llama models have the rows of q and k in the order that rotary embedding of neighbouring
            pairs needs. True: in the order that halves need, which models of Hugging Face use. False: as stored, and
            `config["rope_interleaved"]` is True.

    Raises:
        FileNotFoundError: there is no such file or folder.
        CheckpointError: a file is damaged or missing, or the format is none of those above.
        ModuleNotFoundError: the package that reads the format is not installed.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix == ".gguf":
        return Checkpoint(path, *_gguf.open_model(path, neox))
    folder = path if path.is_dir() else path.parent
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    source = _source(path)
    settings, settings_file = _settings(folder, config)
    if settings is None and any(name.endswith(".scaled_zeros") for name in source.entries):
        settings = {"quant_method": "awq", "bits": 4, "version": "llm-awq"}  # llm-awq writes no configuration
    config = {key: value for key, value in config.items() if key != "quantization_config"}
    if settings is not None:
        chosen = _formats.choose(settings_file, settings)
        linears, tensors = _group(source.entries, chosen, settings)
        if not linears:
            expected = f"tensors that end in .{chosen.required[0]}, as {chosen.name} has them"
            fail(path, "layers", "none that are quantized", expected)
        return Checkpoint(path, source, chosen.name, config, linears, tensors)
    packed = next((name for name in source.entries if name.endswith((".qweight", ".weight_packed"))), None)
    if packed is not None:
        found = f"none, but packed tensors such as {packed}"
        fail(settings_file, "quantization_config", found, "the method of quantization")
    tensors = {name: source.entries[name] for name in sorted(source.entries, key=natural)}
    return Checkpoint(path, source, "16 bits", config, {}, tensors)


def _group(
    entries: dict[str, Entry], chosen: _formats.Format, settings: dict[str, Any]
) -> tuple[dict[str, Linear], dict[str, Entry]]:
    """The 4-bit layers that tensors make, and the tensors that belong to none."""
    suffixes = (*chosen.required, *chosen.optional)
    modules = {name.rpartition(".")[0] for name in entries if name.rpartition(".")[2] == chosen.required[0]}
    # A tensor of a layer whose main tensor is missing would count as one of the others. (llm-awq's activations have
    # scales of their own.)
    for name, entry in entries.items():
        module, _, suffix = name.rpartition(".")
        if suffix in chosen.required[1:] and suffix != "scales" and module not in modules:
            fail(entry.file, f"{module}.{chosen.required[0]}", f"none beside {name}", "one")
    linears: dict[str, Linear] = {}
    taken: set[str] = set()
    for module in sorted(modules, key=natural):
        found = {suffix: entries[f"{module}.{suffix}"] for suffix in suffixes if f"{module}.{suffix}" in entries}
        for suffix in chosen.required:
            if suffix not in found:
                main = chosen.required[0]
                fail(found[main].file, f"{module}.{suffix}", "none", f"one beside {module}.{main}")
        taken.update(f"{module}.{suffix}" for suffix in found)
        linears[module] = _formats.describe(module, chosen, found, settings, entries.get(f"{module}.bias"))
    return linears, {name: entries[name] for name in sorted(entries, key=natural) if name not in taken}


def _source(path: pathlib.Path) -> Source:
    if path.is_file():
        if path.suffix == ".safetensors":
            return SafetensorsFiles({path: None})
        if path.suffix in (".pt", ".pth", ".bin"):
            return TorchFiles({path: None})
        fail(path, "name", f"suffix {path.suffix!r}", ".safetensors, .pt, .pth, .bin or .gguf, or a folder")
    for pattern, reader in (("*.safetensors", SafetensorsFiles), ("*.bin", TorchFiles), ("*.pt", TorchFiles)):
        indexes = sorted(path.glob(pattern + ".index.json"))
        if len(indexes) > 1:
            fail(path, "index", ", ".join(index.name for index in indexes), "one")
        if indexes:
            return reader(shards_of_index(indexes[0]))
        files = sorted(path.glob(pattern))
        usual = [file for file in files if file.stem in ("model", "pytorch_model")]
        files = usual or files
        if len(files) > 1:
            fail(path, "files", f"{len(files)} files {pattern} and no index", f"{pattern}.index.json, or one file")
        if files:
            return reader({files[0]: None})
    ggufs = sorted(file.name for file in path.glob("*.gguf"))
    cure = f"Name a file: {', '.join(ggufs)}" if ggufs else ""
    fail(path, "files", "no weights", "safetensors files, or a PyTorch file", cure)


def _settings(folder: pathlib.Path, config: dict[str, Any]) -> tuple[dict[str, Any] | None, pathlib.Path]:
    """What says how the weights are quantized, and where; older tools had files of their own for it."""
    file = folder / "config.json"
    settings = config.get("quantization_config", config.get("compression_config"))
    if settings is None:
        for name, method in (("quantize_config.json", "gptq"), ("quant_config.json", "awq")):
            if (folder / name).is_file():
                file = folder / name
                settings = {"quant_method": method, **read_json(file)}
                break
    if settings is None:
        return None, file
    if not isinstance(settings, dict):
        fail(file, "quantization_config", type(settings).__name__, "an object")
    if "q_group_size" in settings:
        settings = {"group_size": settings["q_group_size"], **settings}
    return settings, file


# ---- converting ------------------------------------------------------------------------------------------------------


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    shard_size: int = 2 * 10**9,
    progress: bool | None = None,
) -> pathlib.Path:
    """Writes a checkpoint anew with its 4-bit layers in layout v2.

    The folder is written under another name beside `out` and renamed when it is whole, so that a conversion that was
    cut off leaves nothing at `out`. It has config.json, safetensors files (with an index if there are several) and the
    small files of the source folder; a GGUF file's tokenizer is written by the package transformers if that is
    installed.

    Args:
        source: what `open` takes.
        out: the folder to make; must not exist.
        device: where layers are converted.
        dtype: of scales and other floating-point tensors; the checkpoint's own by default.
        shard_size: the largest size of a file, in bytes.
        progress: whether to draw a bar on stderr; by default only on a terminal.

    Returns:
        `out`.

    Raises:
        FileExistsError: `out` exists.
        CheckpointError: the checkpoint cannot be read, or the disk has no room for the new one.
    """
    out = pathlib.Path(out)
    if out.exists():
        raise FileExistsError(f"{out}: exists; convert writes a new folder")
    checkpoint = open(source)
    shards = _shards(checkpoint, dtype, shard_size)
    needed, free = sum(sum(shard.values()) for shard in shards), shutil.disk_usage(out.absolute().parent).free
    if needed > free:
        raise CheckpointError(
            f"{out}: found {free} bytes free on the disk, expected {needed} for the converted weights"
        )
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(checkpoint, partial, shards, device, dtype, progress)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _shards(checkpoint: Checkpoint, dtype: torch.dtype | None, limit: int) -> list[dict[str, int]]:
    """Names of layers and other tensors with their sizes once written, in files of at most `limit` bytes."""
    width = (dtype or checkpoint.dtype).itemsize
    shards: list[dict[str, int]] = [{}]
    room = limit
    for name in checkpoint.sizes():
        if name in checkpoint.linears:
            linear = checkpoint.linears[name]
            groups = packing.padded_groups(linear.k, linear.group_size)
            size = linear.n * linear.k // 2 + 2 * groups * linear.n * width
        else:
            entry = checkpoint.tensors[name]
            quantized = isinstance(entry.kind, str)
            size = torch.Size(entry.shape).numel() * width if quantized else entry.nbytes
        if size > room and shards[-1]:
            shards.append({})
            room = limit
        shards[-1][name] = size
        room -= size
    return shards


def _write(
    checkpoint: Checkpoint,
    folder: pathlib.Path,
    shards: list[dict[str, int]],
    device: torch.device | str,
    dtype: torch.dtype | None,
    progress: bool | None,
) -> None:
    save_file = optional("safetensors.torch").save_file
    weight_map: dict[str, str] = {}
    total = 0
    sizes = checkpoint.sizes()
    with progress_bar("converting", sum(sizes.values()), progress) as advance:
        for index, shard in enumerate(shards):
            several = f"model-{index + 1:05}-of-{len(shards):05}.safetensors"
            file = "model.safetensors" if len(shards) == 1 else several
            tensors: dict[str, Tensor] = {}
            for name in shard:
                if name in checkpoint.linears:
                    packed = checkpoint.linear(name, device, dtype)
                    new = {"qweight": packed.kernel, "scales": packed.scales, "qzeros": packed.zeros}
                    new = {f"{name}.{suffix}": tensor for suffix, tensor in new.items()}
                else:
                    new = {name: checkpoint.tensor(name, dtype=dtype)}
                # Copies: tensors of a file may share storage, which safetensors does not write.
                tensors |= {key: value.cpu().clone(memory_format=torch.contiguous_format) for key, value in new.items()}
                advance(sizes[name])
            weight_map.update(dict.fromkeys(tensors, file))
            total += sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())
            save_file(tensors, folder / file, metadata={"format": "pt"})
            (folder / file).chmod(0o644)  # safetensors lets only the owner read
    if len(shards) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _copy_companions(checkpoint, folder)
    config = {key: value for key, value in checkpoint.config.items() if key != "rope_interleaved"}
    if dtype is not None:
        config["torch_dtype"] = packing._name(dtype)
        config.pop("dtype", None)
    if checkpoint.linears:
        config["quantization_config"] = _written_settings(checkpoint)
    # The last file: without it a folder is no checkpoint.
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _written_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    sizes = collections.Counter(linear.group_size for linear in checkpoint.linears.values())
    left = {name.removesuffix(".weight") for name, entry in checkpoint.tensors.items() if len(entry.shape) == 2}
    return {
        "quant_method": "awq",
        "version": "gemv_fast",
        "bits": 4,
        "group_size": sizes.most_common(1)[0][0],
        "zero_point": True,
        "modules_to_not_convert": sorted(name for name in left if not name.endswith("embed_tokens")) or None,
    }


def _copy_companions(checkpoint: Checkpoint, folder: pathlib.Path) -> None:
    path = checkpoint.path
    if path.suffix == ".gguf":
        try:
            tokenizers = importlib.import_module("transformers").AutoTokenizer
            tokenizers.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(folder)
        except Exception as error:  # of the package or of what it calls; the weights are whole without a tokenizer
            print(f"the tokenizer was not written: {type(error).__name__}: {error}", file=sys.stderr)
        return
    parent = path if path.is_dir() else path.parent
    for pattern in _COMPANIONS:
        for file in parent.glob(pattern):
            described = file.name == "config.json" or file.name.endswith(".index.json") or "quant" in file.name
            if file.is_file() and not described and file.stat().st_size < 100 * 2**20:
                shutil.copyfile(file, folder / file.name)


# ---- the command line ------------------------------------------------------------------------------------------------


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _pattern(name: str) -> str:
    """A name with its numbers replaced, which layers of one kind share."""
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _show(checkpoint: Checkpoint, every: bool) -> str:
    """What is in a checkpoint and what would be done with it, as text."""
    key: Callable[[str], str] = str if every else _pattern
    rows: dict[tuple[str, str, str, str], list[int]] = {}
    for name, linear in checkpoint.linears.items():
        stored = f"{linear.format.name}, group size {linear.stored_group_size}"
        action = "converted to layout v2" if linear.format.converts else "layout v2 as it is"
        if linear.group_size != linear.stored_group_size:
            action += f", group size {linear.group_size}"
        rows.setdefault((key(name), f"[{linear.n}, {linear.k}]", stored, action), []).append(linear.nbytes)
    for name, entry in checkpoint.tensors.items():
        quantized = isinstance(entry.kind, str)
        action = f"dequantized to {packing._name(checkpoint.dtype)}" if quantized else "as it is"
        rows.setdefault((key(name), str(list(entry.shape)), packing._name(entry.kind), action), []).append(entry.nbytes)
    table = [("tensor", "shape", "stored as", "what is done", "number", "MB")]
    for described, sizes in rows.items():
        table.append((*described, str(len(sizes)), f"{sum(sizes) / 1e6:.1f}"))
    total = sum(checkpoint.sizes().values())
    head = [
        f"{checkpoint.path}",
        f"model: {', '.join(map(str, checkpoint.config.get('architectures') or ['unknown architecture']))}",
        f"format: {checkpoint.format}",
        f"{len(checkpoint.linears)} 4-bit layers, {len(checkpoint.tensors)} other tensors, {total / 1e9:.2f} GB",
    ]
    return "\n".join([*head, "", _table(table)])


def _size(text: str) -> int:
    units = {"MB": 10**6, "GB": 10**9}
    number, unit = text[:-2], text[-2:].upper()
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number with MB or GB, such as 2GB")
    return int(float(number) * units[unit])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m awq_kernels.checkpoint", description="Looks into 4-bit checkpoints and converts them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    what = "a folder as on Hugging Face, or a .safetensors, .pt or .gguf file"
    show = commands.add_parser("show", help="list what is in a checkpoint and what would be done with it")
    show.add_argument("checkpoint", type=pathlib.Path, help=what)
    show.add_argument("--all", action="store_true", help="one line for every tensor, not for those of a kind")
    new = commands.add_parser("convert", help="write a folder in layout v2, which loads without conversion")
    new.add_argument("checkpoint", type=pathlib.Path, help=what)
    new.add_argument("--out", type=pathlib.Path, required=True, help="the folder to make; must not exist")
    new.add_argument("--device", default="cpu", help="where layers are converted, such as cuda (default: cpu)")
    new.add_argument("--dtype", choices=_DTYPES, help="of scales and 16-bit tensors (default: the checkpoint's)")
    new.add_argument("--shard-size", type=_size, default="2GB", help="largest size of a file (default: 2GB)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "show":
            print(_show(open(options.checkpoint), options.all))
        else:
            out = convert(
                options.checkpoint,
                options.out,
                device=options.device,
                dtype=_DTYPES.get(options.dtype),
                shard_size=options.shard_size,
            )
            print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e9:.2f} GB in layout v2")
    except (CheckpointError, FileNotFoundError, FileExistsError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Writers of checkpoints in the formats of others, independent of awq_kernels, and what the weights in them are.

Each writer places one value after another, as the format's own definition says, in NumPy. The scales have so few bits
that `scale * zero_point` is exact in every dtype: a reader has to give the very same matrix.
"""

from __future__ import annotations

import json
import pathlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

Arrays = dict[str, np.ndarray[Any, Any]]
Settings = dict[str, Any]


@dataclass
class Layer:
    """A linear layer: `w[n, k] = scales[n, k // G] * (q[n, k] - zero_points[n, k // G])`."""

    q: np.ndarray[Any, Any]
    scales: np.ndarray[Any, Any]
    zero_points: np.ndarray[Any, Any]
    group_size: int
    bias: np.ndarray[Any, Any] | None = None

    @property
    def weight(self) -> Tensor:
        """Float32 [N, K], exact."""
        repeat = self.group_size
        zeros, scales = self.zero_points.repeat(repeat, 1).astype(np.float64), self.scales.repeat(repeat, 1)
        return torch.from_numpy((self.q - zeros) * scales.astype(np.float64)).float()


def random_layer(
    n: int, k: int, group_size: int, seed: int = 0, symmetric: bool = False, bias: bool = False, least_zero: int = 0
) -> Layer:
    """Codes and zero points over the whole range; scales of four significant bits."""
    random = np.random.default_rng(seed)
    groups = k // group_size
    zeros = random.integers(least_zero, 16, (n, groups))
    return Layer(
        q=random.integers(0, 16, (n, k)),
        scales=(random.integers(8, 16, (n, groups)) * 2.0**-9).astype(np.float32),
        zero_points=np.full_like(zeros, 8) if symmetric else zeros,
        group_size=group_size,
        bias=random.integers(-64, 64, n).astype(np.float32) / 64 if bias else None,
    )


@dataclass
class Model:
    """Layers and other tensors, by name."""

    layers: dict[str, Layer]
    others: dict[str, Tensor] = field(default_factory=dict)


def random_model(n: int = 16, k: int = 256, group_size: int = 128, **how: Any) -> Model:
    """Three layers, one of another shape, one with a bias, and a norm."""
    return Model(
        layers={
            "model.layers.0.mlp.up_proj": random_layer(n, k, group_size, 1, **how),
            "model.layers.0.mlp.down_proj": random_layer(n + 8, k, group_size, 2, bias=True, **how),
            "model.layers.10.mlp.up_proj": random_layer(n, k * 2, group_size, 3, **how),
        },
        others={"model.norm.weight": torch.arange(k, dtype=torch.float16) / 8},
    )


# ---- nibbles ---------------------------------------------------------------------------------------------------------


def words_along_rows(values: np.ndarray[Any, Any], order: tuple[int, ...] = tuple(range(8))) -> np.ndarray[Any, Any]:
    """[R, C] -> int32 [R, C / 8]: nibble i of word c is column 8c + order[i]."""
    words = np.zeros((values.shape[0], values.shape[1] // 8), np.uint32)
    for column in range(words.shape[1]):
        for nibble, place in enumerate(order):
            words[:, column] |= values[:, 8 * column + place].astype(np.uint32) << np.uint32(4 * nibble)
    return words.view(np.int32)


GEMM_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def kernel_v2(q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Layout v2, one value at a time: position in the stream of a quad of rows from the indices of a value."""
    n, k = q.shape
    stream = np.zeros((n // 4, 4 * k), np.uint16)
    for column in range(k):
        step, inside = divmod(column, 64)
        run, value = divmod(inside, 32)
        # In a run of 32: 8b + 2a + c goes to 8a + 2b + c; then, in each 8, even places before odd ones.
        a, b, c = value % 8 // 2, value // 8, value % 2
        eight, place = a, 2 * b + c
        place = place // 2 if place % 2 == 0 else 4 + place // 2
        for row in range(4):
            stream[:, step * 256 + row * 64 + run * 32 + eight * 8 + place] = q[row::4, column]
    nibbles = stream.reshape(n // 4, k, 4)
    words = sum(nibbles[..., i].astype(np.uint16) << np.uint16(4 * i) for i in range(4))
    return np.ascontiguousarray(words).astype(np.uint16).view(np.int16)


def padded(groups: int, group_size: int) -> int:
    """Groups as stored, from AutoAWQ's widths: words of eight, in ones, twos or fours."""
    unit = 8 * {128: 1, 64: 2, 32: 4}.get(group_size, 1)
    return -(-groups // unit) * unit


def padded_columns(values: np.ndarray[Any, Any], group_size: int) -> np.ndarray[Any, Any]:
    """[N, groups] -> [N, padded groups]."""
    return np.pad(values, ((0, 0), (0, padded(values.shape[1], group_size) - values.shape[1])))


# ---- layers ----------------------------------------------------------------------------------------------------------


def gemm(layer: Layer) -> Arrays:
    """AutoAWQ's WQLinear_GEMM."""
    return {
        "qweight": words_along_rows(layer.q.T, GEMM_ORDER),
        "qzeros": words_along_rows(layer.zero_points.T, GEMM_ORDER),
        "scales": layer.scales.T,
    }


def gemv(layer: Layer) -> Arrays:
    """AutoAWQ's WQLinear_GEMV."""
    return {
        "qweight": words_along_rows(layer.q),
        "qzeros": words_along_rows(padded_columns(layer.zero_points, layer.group_size)),
        "scales": padded_columns(layer.scales, layer.group_size),
    }


def gemv_fast(layer: Layer, zeros: str = "qzeros") -> Arrays:
    """AutoAWQ's WQLinear_GEMVFast, and with `scaled_zeros` llm-awq's WQLinear."""
    return {
        "qweight": kernel_v2(layer.q),
        "scales": padded_columns(layer.scales, layer.group_size).T,
        zeros: padded_columns(-layer.scales * layer.zero_points, layer.group_size).T,
    }


def gptq(layer: Layer, first_zero: int) -> Arrays:
    """AutoGPTQ's QuantLinear; version 1 stores zero points less one."""
    return {
        "qweight": words_along_rows(layer.q).T,
        "qzeros": words_along_rows(layer.zero_points.T - first_zero),
        "scales": layer.scales.T,
        "g_idx": (np.arange(layer.q.shape[1]) // layer.group_size).astype(np.int32),
    }


def compressed(layer: Layer, symmetric: bool) -> Arrays:
    """compressed-tensors' PackedQuantizationCompressor; zero points are packed along N."""
    tensors = {
        "weight_packed": words_along_rows(layer.q),
        "weight_scale": layer.scales,
        "weight_shape": np.array(layer.q.shape, np.int64),
    }
    rows = -(-layer.q.shape[0] // 8) * 8
    zeros = np.pad(layer.zero_points, ((0, rows - layer.q.shape[0]), (0, 0)))
    return tensors if symmetric else {**tensors, "weight_zero_point": words_along_rows(zeros.T).T}


# ---- folders and files -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A format of a folder: how a layer is written, and what config.json says."""

    write: Callable[[Layer], Arrays]
    settings: Callable[[int], Settings]
    symmetric: bool = False
    least_zero: int = 0
    group_sizes: tuple[int, ...] = (32, 64, 128)


def _awq(version: str) -> Callable[[int], Settings]:
    return lambda group_size: {
        "quant_method": "awq",
        "version": version,
        "bits": 4,
        "group_size": group_size,
        "zero_point": True,
        "modules_to_not_convert": None,
    }


def _gptq(version: str | None) -> Callable[[int], Settings]:
    def settings(group_size: int) -> Settings:
        common = {"quant_method": "gptq", "bits": 4, "group_size": group_size, "desc_act": False, "sym": False}
        return common if version is None else {**common, "checkpoint_format": version}

    return settings


def _compressed(symmetric: bool) -> Callable[[int], Settings]:
    def settings(group_size: int) -> Settings:
        weights = {
            "num_bits": 4,
            "type": "int",
            "strategy": "group",
            "group_size": group_size,
            "symmetric": symmetric,
            "actorder": None,
        }
        groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None}}
        return {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": groups,
            "ignore": ["lm_head"],
        }

    return settings


FOLDERS = {
    "gemm": Folder(gemm, _awq("gemm")),
    "gemv": Folder(gemv, _awq("gemv")),
    "gemv_fast": Folder(gemv_fast, _awq("gemv_fast")),
    "gptq_v1": Folder(lambda layer: gptq(layer, 1), _gptq(None), least_zero=1),
    "gptq_v2": Folder(lambda layer: gptq(layer, 0), _gptq("gptq_v2")),
    "compressed_symmetric": Folder(lambda layer: compressed(layer, True), _compressed(True), symmetric=True),
    "compressed_asymmetric": Folder(lambda layer: compressed(layer, False), _compressed(False)),
}


def state_dict(model: Model, write: Callable[[Layer], Arrays], dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """All tensors of a model; floating-point ones of layers in `dtype`."""
    tensors = dict(model.others)
    for name, layer in model.layers.items():
        for suffix, array in write(layer).items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            tensors[f"{name}.{suffix}"] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if layer.bias is not None:
            tensors[f"{name}.bias"] = torch.from_numpy(layer.bias).to(dtype)
    return tensors


def write_folder(
    folder: pathlib.Path, tensors: dict[str, Tensor], config: dict[str, Any], shards: int = 1
) -> pathlib.Path:
    """A folder as on Hugging Face, its tensors dealt out to `shards` files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    weight_map = {}
    for index in range(shards):
        file = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[index::shards])
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def write(
    folder: pathlib.Path, name: str, model: Model, shards: int = 1, dtype: torch.dtype = torch.float16
) -> pathlib.Path:
    """A model in one of FOLDERS' formats; all its layers have one group size."""
    kind = FOLDERS[name]
    group_size = next(iter(model.layers.values())).group_size
    config = {"architectures": ["TestModel"], "quantization_config": kind.settings(group_size)}
    return write_folder(folder, state_dict(model, kind.write, dtype), config, shards)


def model_for(name: str, group_size: int = 128, **sizes: int) -> Model:
    """A random model that a format can hold."""
    kind = FOLDERS[name]
    return random_model(group_size=group_size, symmetric=kind.symmetric, least_zero=kind.least_zero, **sizes)


# ---- GGUF ------------------------------------------------------------------------------------------------------------

_GGUF_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3}


def gguf_blocks(layer: Layer, kind: str) -> bytes:
    """Blocks of 32: d and for Q4_1 m in float16, then codes 0..15 in low nibbles and 16..31 in high ones."""
    out = bytearray()
    for row in range(layer.q.shape[0]):
        for block in range(layer.q.shape[1] // 32):
            scale, zero = layer.scales[row, block], layer.zero_points[row, block]
            out += np.float16(scale).tobytes()
            if kind == "Q4_1":
                out += np.float16(-scale * zero).tobytes()
            codes = layer.q[row, 32 * block : 32 * block + 32].astype(np.uint8)
            out += (codes[:16] | codes[16:] << 4).tobytes()
    return bytes(out)


def _gguf_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _gguf_value(value: object) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _gguf_string(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_gguf_string(item) for item in value)
    assert isinstance(value, int)
    return struct.pack("<II", 4, value)


def write_gguf(
    path: pathlib.Path, metadata: dict[str, Any], tensors: dict[str, tuple[str, tuple[int, ...], bytes]]
) -> None:
    """A GGUF file, version 3; tensors are (type, shape, bytes), the shape as PyTorch has it."""
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    header += b"".join(_gguf_string(key) + _gguf_value(value) for key, value in metadata.items())
    data = bytearray()
    for name, (kind, shape, content) in tensors.items():
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        header += _gguf_string(name) + dimensions + struct.pack("<IQ", _GGUF_TYPES[kind], len(data))
        data += content + bytes(-len(content) % 32)
    path.write_bytes(header + bytes(-len(header) % 32) + data)


def float_tensor(values: Tensor) -> tuple[str, tuple[int, ...], bytes]:
    """A tensor for `write_gguf`, in float32."""
    return "F32", tuple(values.shape), values.float().numpy().tobytes()


# ---- reading without awq_kernels, for damaged files ------------------------------------------------------------------


def values_along_rows(words: np.ndarray[Any, Any], order: tuple[int, ...] = tuple(range(8))) -> np.ndarray[Any, Any]:
    """The inverse of `words_along_rows`."""
    words = np.ascontiguousarray(words).view(np.uint32)
    values = np.zeros((words.shape[0], words.shape[1] * 8), np.int64)
    for nibble, place in enumerate(order):
        values[:, place::8] = words >> np.uint32(4 * nibble) & np.uint32(15)
    return values


def values_of_kernel_v2(kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The inverse of `kernel_v2`: each value is looked up where a matrix of its own indices puts it."""
    n, k = kernel.shape[0] * 4, kernel.shape[1]
    words = np.ascontiguousarray(kernel).view(np.uint16)
    nibbles = np.stack([words >> np.uint16(4 * i) & np.uint16(15) for i in range(4)], -1).reshape(-1)
    # A code has four bits, so the place of each value is found one hexadecimal digit at a time.
    places = np.arange(n * k).reshape(n, k)
    where = np.zeros(n * k, np.int64)
    for digit in range(6):
        packed = np.ascontiguousarray(kernel_v2(places >> 4 * digit & 15)).view(np.uint16)
        digits = np.stack([packed >> np.uint16(4 * i) & np.uint16(15) for i in range(4)], -1).reshape(-1)
        where |= digits.astype(np.int64) << 4 * digit
    values = np.zeros(n * k, np.int64)
    values[where] = nibbles
    return values.reshape(n, k)


def weight_of(name: str, tensors: dict[str, Tensor]) -> Tensor:
    """Float32 [N, K]: the layer that tensors (by suffix) of a format are, whatever numbers are in them."""
    arrays = {
        suffix: tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
        for suffix, tensor in tensors.items()
    }
    if name == "gemm":
        q, zeros = (values_along_rows(arrays[key], GEMM_ORDER).T for key in ("qweight", "qzeros"))
        scales = arrays["scales"].T
    elif name == "gemv":
        q, zeros, scales = values_along_rows(arrays["qweight"]), values_along_rows(arrays["qzeros"]), arrays["scales"]
    elif name in ("gemv_fast", "llm_awq"):
        q, scales = values_of_kernel_v2(arrays["qweight"]), arrays["scales"].T
        groups = q.shape[1] // 128
        offsets = arrays["qzeros" if name == "gemv_fast" else "scaled_zeros"].T
        return torch.from_numpy(q * scales[:, :groups].repeat(128, 1) + offsets[:, :groups].repeat(128, 1)).float()
    elif name.startswith("gptq"):
        q, scales = values_along_rows(arrays["qweight"].T), arrays["scales"].T
        zeros = values_along_rows(arrays["qzeros"]).T + (name == "gptq_v1")
    else:
        q, scales = values_along_rows(arrays["weight_packed"]), arrays["weight_scale"]
        packed = arrays.get("weight_zero_point")
        zeros = np.full(scales.shape, 8) if packed is None else values_along_rows(packed.T).T[: q.shape[0]]
    groups = q.shape[1] // 128
    zeros, scales = zeros[:, :groups].repeat(128, 1), scales[:, :groups].repeat(128, 1).astype(np.float64)
    return torch.from_numpy((q - zeros) * scales).float()


def read_safetensors(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    types = {"I16": torch.int16, "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "F32": torch.float32}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = (8 + length + offset for offset in entry["data_offsets"])
            flat = torch.frombuffer(bytearray(data[first:last]), dtype=types[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def _gguf_skip(data: bytes, at: int, kind: int) -> int:
    """The end of a value of the metadata."""
    if kind == 8:
        return at + 8 + int(struct.unpack_from("<Q", data, at)[0])
    if kind == 9:
        inner, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count):
            at = _gguf_skip(data, at, inner)
        return at
    return at + {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind]


def read_gguf(data: bytes) -> dict[str, Tensor]:
    """The tensors of a GGUF file of the types above, in float32, as stored."""
    _, _, tensor_count, value_count = struct.unpack_from("<4sIQQ", data)
    at = 24

    def string() -> str:
        nonlocal at
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        return data[at - length : at].decode()

    for _ in range(value_count):
        string()
        (kind,) = struct.unpack_from("<I", data, at)
        at = _gguf_skip(data, at + 4, kind)
    infos = []
    for _ in range(tensor_count):
        name = string()
        (rank,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{rank}Q", data, at + 4)[::-1]
        kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos.append((name, shape, kind, offset))
    start = -(-at // 32) * 32
    tensors = {}
    for name, shape, kind, offset in infos:
        count, first = int(np.prod(shape)), start + offset
        if kind in (0, 1):
            dtype = np.float32 if kind == 0 else np.float16
            values = np.frombuffer(data, dtype, count, first)
        else:
            size = 18 if kind == 2 else 20
            blocks = np.frombuffer(data, np.uint8, count // 32 * size, first).reshape(-1, size)
            numbers = np.ascontiguousarray(blocks[:, :-16]).view(np.float16).astype(np.float64)
            codes = np.concatenate([blocks[:, -16:] & 15, blocks[:, -16:] >> 4], 1)
            minimum = numbers[:, 1:] if kind == 3 else -8 * numbers[:, :1]
            values = codes * numbers[:, :1] + minimum
        tensors[name] = torch.from_numpy(values.astype(np.float32)).reshape(shape)
    return tensors

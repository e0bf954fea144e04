"""GGUF files: their tensors and metadata, and what Hugging Face's models call them."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from awq_kernels import _formats, packing
from awq_kernels._files import CheckpointError, Entry, Source, fail, natural, optional


class GgufFile:
    """The tensors and the metadata of a GGUF file."""

    def __init__(self, path: pathlib.Path) -> None:
        """Reads the header."""
        self._path = path
        self._gguf = gguf = optional("gguf")

        class Reader(gguf.GGUFReader):  # type: ignore[misc, name-defined]
            """Refuses to read past the end, where the library goes on with empty arrays, as often as a count says."""

            def _get(self, offset: int, dtype: Any, count: int = 1, *rest: Any, **named: Any) -> Any:
                values = super()._get(offset, dtype, count, *rest, **named)
                if len(values) != int(count):
                    raise ValueError(f"the file ends at {len(self.data)}, within what is at {offset}")
                return values

        try:
            # Copy on write: torch takes no read-only arrays without a warning.
            reader = Reader(path, "c")
            self._fields = reader.fields
            self._tensors = {tensor.name: tensor for tensor in reader.tensors}
            self.entries = {name: self._entry(path, tensor, reader) for name, tensor in self._tensors.items()}
        except Exception as error:  # the library raises whatever its parsing runs into
            raise CheckpointError(f"{path}: not a whole GGUF file: {type(error).__name__}: {error}") from error

    def metadata(self, key: str, default: Any = None) -> Any:
        """A value of the metadata."""
        field = self._fields.get(key)
        try:
            return default if field is None else field.contents()
        except Exception as error:
            raise CheckpointError(f"{self._path}: {key}: not readable: {error}") from error

    def _entry(self, path: pathlib.Path, tensor: Any, reader: Any) -> Entry:
        # The library adds in 64 bits: an offset near 2^64 wraps around to a place inside the file.
        if int(tensor.data_offset) != int(reader.data_offset) + int(tensor.field.parts[-1][0]):
            raise ValueError(f"{tensor.name} lies past the end")
        kind = {"F32": torch.float32, "F16": torch.float16}.get(tensor.tensor_type.name, tensor.tensor_type.name)
        return Entry(path, kind, tuple(int(size) for size in reversed(tensor.shape)), int(tensor.n_bytes))

    def read(self, name: str) -> Tensor:
        """See Source."""
        data: Tensor = torch.from_numpy(self._tensors[name].data)
        return data

    def dequantized(self, name: str) -> Tensor:
        """A tensor of any type in float32."""
        tensor = self._tensors[name]
        try:
            values = self._gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            raise CheckpointError(
                f"{self._path}: {name}: found type {tensor.tensor_type.name}, expected one that the package gguf can "
                f"dequantize: {error}"
            ) from error
        return torch.from_numpy(values)


# ---- names and configuration of Hugging Face -------------------------------------------------------------------------

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# By general.architecture: the class of the model, and whether the rows of q and k are in the order of pairs.
_MODELS = {"llama": ("LlamaForCausalLM", "llama", True), "qwen2": ("Qwen2ForCausalLM", "qwen2", False)}


class _Renamed:
    """A GGUF file's tensors under the names of Hugging Face's models."""

    def __init__(self, file: GgufFile, names: dict[str, str]) -> None:
        self.file, self._names = file, names
        self.reorder: dict[str, Callable[[Tensor], Tensor]] = {}
        self.entries = {name: file.entries[stored] for name, stored in names.items()}

    def read(self, name: str) -> Tensor:
        """See Source."""
        return self._ordered(name, self.file.read(self._names[name]))

    def dequantized(self, name: str) -> Tensor:
        """A quantized tensor in float32."""
        return self._ordered(name, self.file.dequantized(self._names[name]))

    def _ordered(self, name: str, tensor: Tensor) -> Tensor:
        # The rows of blocks are those of the weight.
        return self.reorder[name](tensor) if name in self.reorder else tensor


def _hugging_face_name(name: str) -> str | None:
    """The name of a GGUF tensor in Hugging Face's Llama and Qwen2; None if they have no such tensor."""
    stem, _, kind = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(0|[1-9][0-9]{0,5})\.(\w+)", stem)
    if layer and layer[2] in _LAYER_NAMES:
        return f"model.layers.{layer[1]}.{_LAYER_NAMES[layer[2]]}.{kind}"
    return f"{_NAMES[stem]}.{kind}" if stem in _NAMES else None


def _halves(head_dim: int) -> Callable[[Tensor], Tensor]:
    """Rows (or elements) of heads whose neighbours are pairs -> pairs half a head apart."""

    def reorder(rows: Tensor) -> Tensor:
        pairs = rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:])
        return pairs.transpose(1, 2).reshape(rows.shape)

    return reorder


def _configuration(file: GgufFile, path: pathlib.Path, architecture: str) -> dict[str, Any]:
    """The config.json that a model of Hugging Face with this file's metadata would have."""
    missing = object()

    def value(key: str, default: Any = missing, kind: type | tuple[type, ...] = int) -> Any:
        found = file.metadata(f"{architecture}.{key}", default)
        if found is missing:
            fail(path, f"{architecture}.{key}", "none", "a number")
        if found is not default and not isinstance(found, kind):
            fail(path, f"{architecture}.{key}", repr(found)[:60], "a number")
        return found

    number = (int, float)
    heads, hidden = value("attention.head_count"), value("embedding_length")
    if heads <= 0 or hidden <= 0:
        fail(path, f"{architecture}.attention.head_count", f"{heads} heads of {hidden} channels", "positive numbers")
    name, model_type, _ = _MODELS[architecture]
    config = {
        "architectures": [name],
        "model_type": model_type,
        "hidden_size": hidden,
        "intermediate_size": value("feed_forward_length"),
        "num_hidden_layers": value("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": value("attention.head_count_kv", heads),
        "head_dim": value("attention.key_length", hidden // heads),
        "hidden_act": "silu",
        "max_position_embeddings": value("context_length"),
        "rms_norm_eps": value("attention.layer_norm_rms_epsilon", kind=number),
        "rope_theta": value("rope.freq_base", 10000.0, number),
        "vocab_size": file.entries["token_embd.weight"].shape[0] if "token_embd.weight" in file.entries else 0,
        "torch_dtype": "float16",
        "bos_token_id": file.metadata("tokenizer.ggml.bos_token_id"),
        "eos_token_id": file.metadata("tokenizer.ggml.eos_token_id"),
    }
    if config["head_dim"] <= 0 or config["head_dim"] % 2 != 0:
        fail(path, f"{architecture}.attention.key_length", config["head_dim"], "a positive even number")
    scaling = file.metadata(f"{architecture}.rope.scaling.type", "none")
    if scaling == "linear":
        factor = value("rope.scaling.factor", 1.0, number)
        config["rope_scaling"] = {"rope_type": "linear", "factor": factor}
    elif scaling != "none":
        fail(path, f"{architecture}.rope.scaling.type", repr(scaling), "'none' or 'linear'")
    return config


def _llama3_scaling(path: pathlib.Path, factors: list[float], theta: float) -> dict[str, Any]:
    """What config.json says of the frequencies' divisors that a GGUF file of Llama 3.1 and later holds."""
    low, high, length = 1.0, 4.0, 8192
    factor = max(factors, default=0.0)
    for index, found in enumerate(factors):
        wavelength = 2 * math.pi * theta ** (index / len(factors))
        smooth = min(max((length / wavelength - low) / (high - low), 0.0), 1.0)
        expected = 1 / ((1 - smooth) / factor + smooth) if factor > 0 else math.nan
        if not math.isclose(found, expected, rel_tol=1e-3):
            fail(
                path, "rope_freqs.weight", f"{found} at {index}", f"{expected}, as Llama 3 has it with factor {factor}"
            )
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": length,
    }


def open_model(
    path: pathlib.Path, neox: bool
) -> tuple[Source, str, dict[str, Any], dict[str, _formats.Linear], dict[str, Entry]]:
    """What a Checkpoint of the file consists of; tensors of unknown architectures keep their names."""
    file = GgufFile(path)
    architecture = str(file.metadata("general.architecture"))
    names = {name: name for name in file.entries}
    config: dict[str, Any] = {}
    in_halves = False
    if architecture in _MODELS:
        config = _configuration(file, path, architecture)
        names = {}
        for stored in file.entries:
            if stored == "rope_freqs.weight":
                factors = file.dequantized(stored).flatten().tolist()
                config["rope_scaling"] = _llama3_scaling(path, factors, config["rope_theta"])
                continue
            name = _hugging_face_name(stored)
            if name is None:
                fail(path, stored, f"a tensor unknown of {architecture}", "those of Llama and Qwen2")
            names[name] = stored
        config["tie_word_embeddings"] = "lm_head.weight" not in names
        pairs = _MODELS[architecture][2]
        config["rope_interleaved"] = pairs and not neox
        in_halves = pairs and neox
    source = _Renamed(file, names)
    linears: dict[str, _formats.Linear] = {}
    tensors: dict[str, Entry] = {}
    for name in sorted(names, key=natural):
        entry = source.entries[name]
        module, _, suffix = name.rpartition(".")
        if in_halves and module.endswith((".q_proj", ".k_proj")):
            if entry.shape[0] % config["head_dim"] != 0:
                fail(path, name, f"{entry.shape[0]} rows", f"a multiple of the head dimension {config['head_dim']}")
            source.reorder[name] = _halves(config["head_dim"])
        # What no kernel takes, for its type, its sizes or its use, is dequantized.
        fits = entry.kind in ("Q4_0", "Q4_1") and len(entry.shape) == 2 and suffix == "weight"
        fits = fits and entry.shape[0] % packing.ROW_INTERLEAVE == 0 and entry.shape[1] % packing.K_STEP == 0
        if fits and not module.endswith(("embed_tokens", "token_embd")):
            bias = source.entries.get(f"{module}.bias")
            linears[module] = _formats.describe(module, _formats.GGUF, {"weight": entry}, {}, bias)
        else:
            tensors[name] = entry
    return source, "GGUF", config, linears, tensors

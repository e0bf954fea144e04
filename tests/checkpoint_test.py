"""Reading and converting checkpoints: every format against an independent writer, and what is said about bad ones."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import awq_kernels as awq
from awq_kernels import checkpoint
from awq_kernels.checkpoint import CheckpointError
from testing import checkpoints as written

FORMATS = list(written.FOLDERS)
LAYER = "model.layers.0.mlp.up_proj"


def assert_holds(found: checkpoint.Checkpoint, model: written.Model, dtype: torch.dtype = torch.float16) -> None:
    """Fails unless a checkpoint has the very layers and tensors of a model."""
    assert found.linears.keys() == model.layers.keys()
    biases = {
        f"{name}.bias": torch.from_numpy(layer.bias) for name, layer in model.layers.items() if layer.bias is not None
    }
    assert set(found.tensors) == set(model.others) | set(biases)
    for name, layer in model.layers.items():
        assert (found.linears[name].n, found.linears[name].k) == layer.q.shape
        assert found.linears[name].has_bias == (layer.bias is not None)
        packed = found.linear(name)
        assert packed.scales.dtype == dtype
        assert torch.equal(awq.dequantize(packed), layer.weight), name
    for name, tensor in (model.others | biases).items():
        assert torch.equal(found.tensor(name).float(), tensor.float()), name


# ---- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("name", FORMATS)
def test_folder(name: str, group_size: int, tmp_path: pathlib.Path) -> None:
    model = written.model_for(name, group_size)
    found = checkpoint.open(written.write(tmp_path, name, model))
    assert_holds(found, model)
    assert list(found.linears) == sorted(model.layers, key=lambda layer: (int(layer.split(".")[2]), layer))
    assert found.config == {"architectures": ["TestModel"]}


@pytest.mark.parametrize("name", FORMATS)
def test_bfloat16(name: str, tmp_path: pathlib.Path) -> None:
    """In the file, and asked for; four bits of a scale times four of a zero point are exact in it."""
    model = written.model_for(name)
    assert_holds(
        checkpoint.open(written.write(tmp_path / "a", name, model, dtype=torch.bfloat16)), model, torch.bfloat16
    )
    found = checkpoint.open(written.write(tmp_path / "b", name, model))
    packed = found.linear(LAYER, dtype=torch.bfloat16)
    assert packed.scales.dtype == torch.bfloat16
    assert torch.equal(awq.dequantize(packed), model.layers[LAYER].weight)


@pytest.mark.parametrize("name", ["gemv_fast", "gguf", "llm_awq"])
def test_writing_to_what_was_read_leaves_the_file_alone(name: str, tmp_path: pathlib.Path) -> None:
    if name == "gguf":
        path = tmp_path / "model.gguf"
        gguf_model(path, "Q4_1")
    elif name == "llm_awq":
        path = tmp_path / "model.pt"
        torch.save(
            written.state_dict(written.random_model(), lambda layer: written.gemv_fast(layer, "scaled_zeros")), path
        )
    else:
        path = written.write(tmp_path, name, written.model_for(name)) / "model.safetensors"
    before = path.read_bytes()
    found = checkpoint.open(path)
    for _, value in found.read(progress=False):
        for tensor in [value] if isinstance(value, Tensor) else [value.kernel, value.scales, value.zeros]:
            tensor.zero_()
    del found, value, tensor
    assert path.read_bytes() == before


def test_wrong_dtypes_are_refused(tmp_path: pathlib.Path) -> None:
    found = checkpoint.open(written.write(tmp_path, "gemm", written.model_for("gemm")))
    with pytest.raises(ValueError, match="linear: dtype must be float16 or bfloat16, got float32"):
        found.linear(LAYER, dtype=torch.float32)


@pytest.mark.parametrize("name", FORMATS)
def test_several_files_with_an_index(name: str, tmp_path: pathlib.Path) -> None:
    model = written.model_for(name)
    assert_holds(checkpoint.open(written.write(tmp_path, name, model, shards=3)), model)


@pytest.mark.parametrize("group_size", [256, -1])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "compressed_asymmetric"])
def test_large_groups_become_several_of_128(name: str, group_size: int, tmp_path: pathlib.Path) -> None:
    """Also one group for the whole row, which configurations write as -1."""
    stored = 256
    model = written.model_for(name, stored)
    model.layers.pop("model.layers.10.mlp.up_proj")  # of K = 512
    folder = written.write(tmp_path, name, model)
    config = json.loads((folder / "config.json").read_text())
    settings = config["quantization_config"]
    if "config_groups" in settings:
        weights = settings["config_groups"]["group_0"]["weights"]
        weights.update({"group_size": None, "strategy": "channel"} if group_size == -1 else {})
    else:
        settings["group_size"] = group_size
    (folder / "config.json").write_text(json.dumps(config))
    found = checkpoint.open(folder)
    assert {linear.group_size for linear in found.linears.values()} == {128}
    assert_holds(found, model)


def test_llm_awq_file(tmp_path: pathlib.Path) -> None:
    """With the activation's scales that llm-awq keeps beside its layers."""
    model = written.random_model()
    model.others["model.layers.0.mlp.act.scales"] = torch.ones(16, dtype=torch.float16)
    tensors = written.state_dict(model, lambda layer: written.gemv_fast(layer, "scaled_zeros"))
    torch.save(tensors, tmp_path / "model-w4-g128-v2.pt")
    assert_holds(checkpoint.open(tmp_path / "model-w4-g128-v2.pt"), model)
    assert_holds(checkpoint.open(tmp_path), model)


def test_pytorch_files_of_a_folder(tmp_path: pathlib.Path) -> None:
    """The older `pytorch_model.bin`, with settings in AutoGPTQ's and AutoAWQ's own files."""
    model = written.model_for("gemm")
    torch.save(
        written.state_dict(model, written.gemm), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False
    )
    settings = {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}
    (tmp_path / "quant_config.json").write_text(json.dumps(settings))
    assert_holds(checkpoint.open(tmp_path), model)
    model = written.model_for("gptq_v1")
    torch.save(
        {"state_dict": written.state_dict(model, written.FOLDERS["gptq_v1"].write)}, tmp_path / "pytorch_model.bin"
    )
    (tmp_path / "quant_config.json").unlink()
    (tmp_path / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 128, "desc_act": False}))
    assert_holds(checkpoint.open(tmp_path), model)


def test_layout_v1(tmp_path: pathlib.Path) -> None:
    model = written.model_for("gemv")
    found = checkpoint.open(written.write(tmp_path, "gemv", model))
    tensors = written.state_dict(model, written.gemv)
    packed = found.linear_v1(LAYER)
    assert torch.equal(packed.kernel, tensors[f"{LAYER}.qweight"])
    assert torch.equal(packed.scaling_factors, tensors[f"{LAYER}.scales"])
    assert torch.equal(packed.zeros, tensors[f"{LAYER}.qzeros"])
    small = checkpoint.open(written.write(tmp_path / "small", "gemm", written.model_for("gemm", 32)))
    with pytest.raises(CheckpointError, match=f"{LAYER}: no layout v1: .*group_size must be one of 64, 128, got 32"):
        small.linear_v1(LAYER)


def test_compressed_tensors_targets(tmp_path: pathlib.Path) -> None:
    """Layers are matched by class, by name and by regular expression."""
    model = written.model_for("compressed_symmetric")
    folder = written.write(tmp_path, "compressed_symmetric", model)
    config = json.loads((folder / "config.json").read_text())
    group = config["quantization_config"]["config_groups"]["group_0"]
    group["targets"] = [r"re:model\.layers\.0\..*", "model.layers.10.mlp.up_proj"]
    (folder / "config.json").write_text(json.dumps(config))
    assert_holds(checkpoint.open(folder), model)
    group["targets"] = [r"re:.*down_proj"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="up_proj: found no group of quantization_config.config_groups"):
        checkpoint.open(folder)


# ---- GGUF ------------------------------------------------------------------------------------------------------------

HEADS, KV_HEADS, HEAD_DIM, HIDDEN, INNER, VOCABULARY = 4, 2, 32, 128, 192, 24
GGUF_CONFIG = {
    "embedding_length": HIDDEN,
    "feed_forward_length": INNER,
    "block_count": 1,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "context_length": 64,
    "attention.layer_norm_rms_epsilon": 2.0**-17,
    "rope.freq_base": 5000.0,
}
GGUF_LAYERS = {
    "self_attn.q_proj": ("attn_q", HEADS * HEAD_DIM, HIDDEN),
    "self_attn.k_proj": ("attn_k", KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": ("attn_v", KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.o_proj": ("attn_output", HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": ("ffn_gate", INNER, HIDDEN),
    "mlp.up_proj": ("ffn_up", INNER, HIDDEN),
    "mlp.down_proj": ("ffn_down", HIDDEN, INNER),
}


def in_pairs(rows: Tensor) -> Tensor:
    """Rows of heads in halves -> neighbours are the pairs that turn, one row after another."""
    out = torch.empty_like(rows)
    for head in range(0, rows.shape[0], HEAD_DIM):
        for i in range(HEAD_DIM // 2):
            out[head + 2 * i], out[head + 2 * i + 1] = rows[head + i], rows[head + HEAD_DIM // 2 + i]
    return out


def gguf_model(path: pathlib.Path, kind: str, architecture: str = "llama", **metadata: Any) -> written.Model:
    """Writes a GGUF file; returns the model as Hugging Face would name and order it."""
    model = written.Model({}, {})
    tensors = {}
    for index, (name, (stored, n, k)) in enumerate(GGUF_LAYERS.items()):
        layer = written.random_layer(
            n, k, 32, index, symmetric=kind == "Q4_0", bias=architecture == "qwen2" and index < 3
        )
        model.layers[f"model.layers.0.{name}"] = layer
        in_file = layer
        if architecture == "llama" and stored in ("attn_q", "attn_k"):
            order = in_pairs(torch.arange(n)).numpy()
            in_file = written.Layer(layer.q[order], layer.scales[order], layer.zero_points[order], 32)
        tensors[f"blk.0.{stored}.weight"] = (kind, (n, k), written.gguf_blocks(in_file, kind))
        if layer.bias is not None:
            tensors[f"blk.0.{stored}.bias"] = written.float_tensor(torch.from_numpy(layer.bias))
    embedding = written.random_layer(VOCABULARY, HIDDEN, 32, 99, symmetric=kind == "Q4_0")
    tensors["token_embd.weight"] = (kind, (VOCABULARY, HIDDEN), written.gguf_blocks(embedding, kind))
    model.others["model.embed_tokens.weight"] = embedding.weight
    for stored, name in (
        ("output_norm", "model.norm"),
        ("blk.0.attn_norm", "model.layers.0.input_layernorm"),
        ("blk.0.ffn_norm", "model.layers.0.post_attention_layernorm"),
    ):
        model.others[f"{name}.weight"] = torch.randn(HIDDEN)
        tensors[f"{stored}.weight"] = written.float_tensor(model.others[f"{name}.weight"])
    sizes = {f"{architecture}.{key}": value for key, value in GGUF_CONFIG.items()}
    written.write_gguf(path, {"general.architecture": architecture, **sizes, **metadata}, tensors)
    return model


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_gguf(kind: str, architecture: str, tmp_path: pathlib.Path) -> None:
    model = gguf_model(tmp_path / "model.gguf", kind, architecture)
    found = checkpoint.open(tmp_path / "model.gguf")
    assert_holds(found, model)
    expected = {
        "model_type": architecture,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "rms_norm_eps": 2.0**-17,
        "rope_theta": 5000.0,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": True,
        "rope_interleaved": False,
    }
    assert {key: found.config[key] for key in expected} == expected
    assert found.tensor("model.embed_tokens.weight").dtype == torch.float16


def test_values_that_overflow_are_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    values = torch.tensor([1.0, -1e5, torch.nan])
    written.write_gguf(path, {"general.architecture": "other"}, {"a": written.float_tensor(values)})
    found = checkpoint.open(path)
    assert found.tensor("a").dtype == torch.float32 and found.tensor("a", dtype=torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(
        CheckpointError, match="a: found values up to 100000, expected what float16 can hold. .*bfloat16"
    ):
        found.tensor("a", dtype=torch.float16)


def test_gguf_rows_as_stored(tmp_path: pathlib.Path) -> None:
    model = gguf_model(tmp_path / "model.gguf", "Q4_1")
    found = checkpoint.open(tmp_path / "model.gguf", neox=False)
    assert found.config["rope_interleaved"]
    for name in ("self_attn.q_proj", "self_attn.k_proj"):
        weight = model.layers[f"model.layers.0.{name}"].weight
        assert torch.equal(awq.dequantize(found.linear(f"model.layers.0.{name}")), in_pairs(weight))


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_gguf_frequencies_of_llama_3(factor: float, tmp_path: pathlib.Path) -> None:
    """The divisors in the file are recognized as what config.json says in words; others are refused."""
    frequencies = 5000.0 ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    wavelengths = 2 * np.pi / frequencies
    smooth = (8192 / wavelengths - 1.0) / 3.0
    medium = (1 - smooth) * frequencies / factor + smooth * frequencies
    new = np.where(wavelengths > 8192, frequencies / factor, np.where(wavelengths < 2048, frequencies, medium))
    path = tmp_path / "model.gguf"
    gguf_model(path, "Q4_1")
    stored = checkpoint.open(path)
    assert "rope_scaling" not in stored.config

    def rewritten(divisors: Any) -> checkpoint.Checkpoint:
        tensors = {"rope_freqs.weight": written.float_tensor(torch.from_numpy(divisors))}
        metadata = {f"llama.{key}": value for key, value in GGUF_CONFIG.items()}
        written.write_gguf(path, {"general.architecture": "llama", **metadata}, tensors)
        return checkpoint.open(path)

    assert rewritten(frequencies / new).config["rope_scaling"] == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    with pytest.raises(CheckpointError, match="rope_freqs.weight: found .* as Llama 3 has it"):
        rewritten(frequencies / new + 0.1 * np.arange(16))


def test_gguf_of_another_architecture_keeps_its_names(tmp_path: pathlib.Path) -> None:
    layer = written.random_layer(8, 64, 32)
    odd = written.random_layer(6, 64, 32)
    tensors = {
        "blk.0.ffn_up.weight": ("Q4_1", (8, 64), written.gguf_blocks(layer, "Q4_1")),
        "blk.0.odd.weight": ("Q4_1", (6, 64), written.gguf_blocks(odd, "Q4_1")),
    }
    written.write_gguf(tmp_path / "model.gguf", {"general.architecture": "other"}, tensors)
    found = checkpoint.open(tmp_path / "model.gguf")
    assert found.config == {} and list(found.linears) == ["blk.0.ffn_up"]
    assert torch.equal(awq.dequantize(found.linear("blk.0.ffn_up")), layer.weight)
    # N = 6 is for no kernel.
    assert torch.equal(found.tensor("blk.0.odd.weight").float(), odd.weight)


# ---- converting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_converted_folder_holds_the_same(name: str, tmp_path: pathlib.Path) -> None:
    model = written.model_for(name)
    source = written.write(tmp_path / "source", name, model)
    for extra in ("tokenizer.json", "modeling.py", "quantize_config.json"):
        (source / extra).write_text("{}")
    out = checkpoint.convert(source, tmp_path / "out", progress=False)
    found = checkpoint.open(out)
    assert_holds(found, model)
    assert found.format == "AutoAWQ gemv_fast" and not any(linear.format.converts for linear in found.linears.values())
    assert {file.name for file in out.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_converted_gguf_holds_the_same(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a tokenizer in it: the weights are converted all the same."""
    path = tmp_path / "model.gguf"
    model = gguf_model(path, "Q4_1")
    out = checkpoint.convert(path, tmp_path / "out", progress=False)
    assert "the tokenizer was not written: " in capsys.readouterr().err
    found = checkpoint.open(out)
    assert_holds(found, model)
    expected = checkpoint.open(path).config
    del expected["rope_interleaved"]
    assert found.config == expected


def test_converted_into_several_files(tmp_path: pathlib.Path) -> None:
    model = written.model_for("gemm")
    source = written.write(tmp_path / "source", "gemm", model)
    out = checkpoint.convert(source, tmp_path / "out", shard_size=4000, dtype=torch.bfloat16, progress=False)
    files = sorted(path.name for path in out.glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert_holds(checkpoint.open(out), model, torch.bfloat16)
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_an_interrupted_conversion_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written.write(tmp_path / "source", "gemm", written.model_for("gemm"))
    linear = checkpoint.Checkpoint.linear

    def interrupted(self: checkpoint.Checkpoint, name: str, *rest: Any) -> Any:
        if "10" in name:
            raise KeyboardInterrupt
        return linear(self, name, *rest)

    monkeypatch.setattr(checkpoint.Checkpoint, "linear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.convert(source, tmp_path / "out", shard_size=4000, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_killed_conversion_leaves_no_folder_that_looks_whole(tmp_path: pathlib.Path) -> None:
    source = written.write(tmp_path / "source", "gemm", written.model_for("gemm"))
    code = (
        "import os, sys\n"
        "from awq_kernels import checkpoint\n"
        "checkpoint._copy_companions = lambda *_: os.kill(os.getpid(), 9)\n"
        "checkpoint.convert(sys.argv[1], sys.argv[2], progress=False)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = tmp_path / "out"
    result = subprocess.run([sys.executable, "-c", code, str(source), str(out)], env=environment)
    assert result.returncode == -9 and not out.exists()
    [partial] = tmp_path.glob(".out.partial-*")
    assert (partial / "model.safetensors").exists() and not (partial / "config.json").exists()
    # What was left does not hinder the next try.
    assert_holds(checkpoint.open(checkpoint.convert(source, out, progress=False)), written.model_for("gemm"))


def test_an_existing_folder_is_not_written_to(tmp_path: pathlib.Path) -> None:
    source = written.write(tmp_path / "source", "gemm", written.model_for("gemm"))
    with pytest.raises(FileExistsError, match="source: exists; convert writes a new folder"):
        checkpoint.convert(source, source)


# ---- what is wrong is named ------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Tensor], dict[str, Any]], None]  # of the tensors and of config.json


def _set(suffix: str, change: Callable[[Tensor], Tensor]) -> Change:
    def apply(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
        tensors[f"{LAYER}.{suffix}"] = change(tensors[f"{LAYER}.{suffix}"]).contiguous()

    return apply


def _drop(suffix: str) -> Change:
    def apply(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
        del tensors[f"{LAYER}.{suffix}"]

    return apply


def _both(*changes: Change) -> Change:
    def apply(tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
        for change in changes:
            change(tensors, config)

    return apply


def _settings(**new: Any) -> Change:
    return lambda tensors, config: config["quantization_config"].update(new)


def _weights(**new: Any) -> Change:
    return lambda tensors, config: config["quantization_config"]["config_groups"]["group_0"]["weights"].update(new)


def _nan(tensor: Tensor) -> Tensor:
    tensor[1, 2] = torch.nan
    return tensor


def _huge(tensor: Tensor) -> Tensor:
    return torch.full_like(tensor, 6e4)


def _first(value: int) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor.view(-1)[0] = value
        return tensor

    return change


BAD: list[tuple[str, Change, str]] = [
    ("gemm", _drop("scales"), f"model.safetensors: {LAYER}.scales: found none, expected one beside {LAYER}.qweight"),
    ("gemm", _drop("qweight"), f"{LAYER}.qweight: found none beside {LAYER}.qzeros, expected one"),
    ("gemm", _set("qweight", Tensor.long), f"{LAYER}.qweight: found int64, expected int32"),
    ("gemm", _set("qweight", Tensor.flatten), r"qweight: found shape \[512\], expected \[\*, \*\]"),
    ("gemm", _set("scales", lambda t: t[:, :8]), r"scales: found shape \[2, 8\], expected \[\*, 16\]"),
    ("gemm", _set("qzeros", lambda t: t[:1]), r"qzeros: found shape \[1, 2\], expected \[2, 2\]"),
    (
        "gemm",
        _settings(group_size=64),
        "scales: found 2 groups of 128, expected groups of 64, as the configuration says",
    ),
    ("gemm", _settings(bits=8), "config.json: quantization_config.bits: found 8, expected 4"),
    ("gemm", _settings(version="marlin"), "version: found 'marlin', expected one of gemm, gemv, gemv_fast, llm-awq"),
    ("gemm", _settings(quant_method="quip"), "quant_method: found 'quip', expected 'awq', 'gptq' or 'compressed-ten"),
    ("gemm", lambda tensors, config: config.pop("quantization_config"), "quantization_config: found none, but packed"),
    ("gemm", _set("scales", _nan), rf"{LAYER}.scales: found 1 values that are inf or nan, the first at \[1, 2\]"),
    ("gemm", _set("scales", _huge), f"{LAYER}: pack_v2: scales \\* zero_points must fit float16"),
    ("gemv", _set("scales", lambda t: t[:, :2]), r"scales: found shape \[16, 2\], expected \[16, 8\]"),
    ("gemv", _settings(group_size=100), "K = 256, expected a multiple of the group size 100"),
    ("gemv", _settings(group_size=16), "found group size 16, expected 32, 64, 128 or a multiple of one"),
    ("gemv_fast", _set("qzeros", lambda t: t[:3]), r"qzeros: found shape \[3, 16\], expected \[8, 16\]"),
    (
        "gemv_fast",
        _both(_set("scales", lambda t: t[:3]), _set("qzeros", lambda t: t[:3])),
        r"scales: found 3 rows for K = 256, expected 8 \(group size 128\) or 16 \(group size 64\)",
    ),
    ("gemv_fast", _set("qzeros", Tensor.float), "qzeros: found float32, expected float16"),
    ("gemv_fast", _set("qzeros", _nan), "qzeros: found 1 values that are inf or nan"),
    ("gptq_v1", _set("qzeros", _first(-1)), r"qzeros: found zero point 16 at \[0, 0\], expected 0..15. .*gptq_v2"),
    ("gptq_v1", _set("g_idx", lambda t: t.flip(0)), "g_idx: found groups scattered over K .act-order.*desc_act=False"),
    ("gptq_v1", _settings(desc_act=True, checkpoint_format="gptq_v3"), "expected one of gptq, gptq_v2"),
    ("gptq_v2", _both(_drop("g_idx"), _settings(desc_act=True)), "g_idx: found none, expected the order of K"),
    ("compressed_symmetric", _weights(num_bits=8), "found 8 bits of type int, expected 4 bits of type int"),
    ("compressed_symmetric", _weights(symmetric=False), "weight_zero_point: found none, expected zero points"),
    ("compressed_symmetric", _weights(strategy="tensor"), "strategy 'tensor', expected 'group' or 'channel'"),
    ("compressed_symmetric", _settings(format="marlin-24"), "format: found 'marlin-24', expected 'pack-quantized'"),
    (
        "compressed_symmetric",
        _set("weight_shape", _first(17)),
        r"weight_shape: found \[17, 256\], expected \[16, 256\]",
    ),
    (
        "compressed_asymmetric",
        _set("weight_zero_point", lambda t: t[:1]),
        r"point: found shape \[1, 2\], expected \[2, 2",
    ),
]


def read_all(path: pathlib.Path) -> dict[str, Any]:
    return dict(checkpoint.open(path).read(progress=False))


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_bad_tensors_and_settings_are_named(name: str, change: Change, message: str, tmp_path: pathlib.Path) -> None:
    kind, model = written.FOLDERS[name], written.model_for(name)
    config = {"quantization_config": kind.settings(128)}
    tensors = written.state_dict(model, kind.write)
    change(tensors, config)
    with pytest.raises(CheckpointError, match=message):
        read_all(written.write_folder(tmp_path, tensors, config))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n": 16, "k": 96, "group_size": 32}, "found K = 96, expected a positive multiple of 64, as the kernels need"),
        ({"n": 16, "k": 64, "group_size": 16}, "found group size 16, expected 32, 64, 128 or a multiple of one"),
        ({"n": 16, "k": 384, "group_size": 48}, "found group size 48, expected 32, 64, 128"),
    ],
)
def test_layers_that_no_kernel_takes_are_named(sizes: dict[str, int], message: str, tmp_path: pathlib.Path) -> None:
    model = written.model_for("gemm", **sizes)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.open(written.write(tmp_path, "gemm", model))


def test_rows_that_no_kernel_takes_are_named(tmp_path: pathlib.Path) -> None:
    layer = written.random_layer(6, 128, 128, symmetric=True)
    model = written.Model({LAYER: layer})
    with pytest.raises(CheckpointError, match=f"{LAYER}: found N = 6, expected a positive multiple of 4"):
        checkpoint.open(written.write(tmp_path, "compressed_symmetric", model))


def test_a_quantized_folder_without_quantized_layers_is_named(tmp_path: pathlib.Path) -> None:
    tensors, config = {"a.B": torch.zeros(1)}, {"quantization_config": written.FOLDERS["gptq_v1"].settings(128)}
    with pytest.raises(
        CheckpointError, match="layers: found none that are quantized, expected tensors that end in .qwei"
    ):
        checkpoint.open(written.write_folder(tmp_path, tensors, config))


def test_cut_files_are_named(tmp_path: pathlib.Path) -> None:
    folder = written.write(tmp_path, "gemm", written.model_for("gemm"))
    file = folder / "model.safetensors"
    content = file.read_bytes()
    for length in (0, 7, 100, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(
            CheckpointError, match=rf"model.safetensors: not a whole safetensors file \({length} bytes\)"
        ):
            checkpoint.open(folder)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "gone.safetensors"}, r"index.json: weight_map: found gone.safetensors missing \(1 of 1 files\)"),
        ({"a": "model.safetensors"}, "model.safetensors: a: found no such tensor .*expected what the index says"),
        (
            {"a": "../model.safetensors"},
            "a: found '../model.safetensors', expected the name of a file beside the index",
        ),
        ({"a": "/etc/passwd"}, "expected the name of a file beside the index"),
        ({"a": 3}, "a: found 3, expected the name of a file"),
        ({}, "weight_map: found dict, expected an object that maps tensors to files"),
        (None, "weight_map: found NoneType, expected"),
    ],
)
def test_bad_indexes_are_named(weight_map: Any, message: str, tmp_path: pathlib.Path) -> None:
    folder = written.write(tmp_path, "gemm", written.model_for("gemm"))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.open(folder)


def test_bad_folders_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        checkpoint.open(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="files: found no weights, expected safetensors files"):
        checkpoint.open(tmp_path)
    (tmp_path / "model.gguf").write_bytes(b"")
    with pytest.raises(CheckpointError, match="Name a file: model.gguf"):
        checkpoint.open(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="config.json: content: found a JSON list, expected an object"):
        checkpoint.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="config.json: not readable as JSON"):
        checkpoint.open(tmp_path)
    (tmp_path / "config.json").unlink()
    for name in ("one.safetensors", "two.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match="2 files .*safetensors and no index"):
        checkpoint.open(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match="found suffix '.onnx', expected .safetensors, .pt, .pth, .bin or .gguf"):
        checkpoint.open(tmp_path / "model.onnx")


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_in_a_pickle_is_executed(plain: bool, tmp_path: pathlib.Path) -> None:
    content = {"a": torch.zeros(1), "b": Payload(tmp_path / "executed")}
    file = tmp_path / "model.pt"
    if plain:
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    with pytest.raises(CheckpointError, match=r"model.pt: not a whole file of tensors alone: .*could execute code"):
        checkpoint.open(file)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "content: found list, expected a state_dict"),
        ({"a": 1}, "a: found int, expected a tensor"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a: found a torch.sparse_coo tensor"),
        ({"a": torch.zeros(1).expand(10**9)}, "a: found 4 bytes for shape"),
    ],
)
def test_pytorch_files_of_other_things_are_named(content: Any, message: str, tmp_path: pathlib.Path) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=message):
        checkpoint.open(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.attention.head_count": 0}, "0 heads of 128 channels, expected positive numbers"),
        ({"llama.rope.scaling.type": "yarn"}, "rope.scaling.type: found 'yarn', expected 'none' or 'linear'"),
        ({"llama.block_count": "one"}, "llama.block_count: found 'one', expected a number"),
        ({"llama.attention.key_length": 48}, "64 rows, expected a multiple of the head dimension 48"),
    ],
)
def test_bad_gguf_metadata_is_named(metadata: dict[str, Any], message: str, tmp_path: pathlib.Path) -> None:
    gguf_model(tmp_path / "model.gguf", "Q4_1", **metadata)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.open(tmp_path / "model.gguf")


def test_cut_gguf_files_are_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.gguf"
    gguf_model(path, "Q4_1")
    content = path.read_bytes()
    for length in (0, 3, 20, 200, 1500, len(content) - 32):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="model.gguf: not a whole GGUF file"):
            checkpoint.open(path)


# ---- the command line, and what is not imported ----------------------------------------------------------------------


def test_show(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written.write(tmp_path, "gptq_v1", written.model_for("gptq_v1", 64))
    assert checkpoint.main(["show", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "format: GPTQ v1" in text and "3 4-bit layers, 2 other tensors" in text
    kinds = [line.split("  ")[0] for line in text.splitlines() if "converted to layout v2" in line]
    assert sorted(kinds) == ["model.layers.*.mlp.down_proj", "model.layers.*.mlp.up_proj", "model.layers.*.mlp.up_proj"]
    assert checkpoint.main(["show", "--all", str(folder)]) == 0
    assert re.search(r"model\.layers\.10\.mlp\.up_proj +\[16, 512\] +GPTQ v1, group size 64", capsys.readouterr().out)


def test_command_line_converts_and_names_errors(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written.write(tmp_path / "source", "gemm", written.model_for("gemm"))
    command = ["convert", str(folder), "--out", str(tmp_path / "out"), "--dtype", "bfloat16", "--shard-size", "1MB"]
    assert checkpoint.main(command) == 0
    assert "in layout v2" in capsys.readouterr().out
    assert_holds(checkpoint.open(tmp_path / "out"), written.model_for("gemm"), torch.bfloat16)
    assert checkpoint.main(command) == 1
    assert "out: exists" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        checkpoint.main(["convert", str(folder), "--out", "x", "--shard-size", "2"])
    assert "expected a number with MB or GB" in capsys.readouterr().err


def test_importing_the_package_imports_none_of_its_optional_parts() -> None:
    code = (
        "import sys\n"
        "import torch\n"  # which imports some of them where they are installed
        "before = set(sys.modules)\n"
        "import awq_kernels, awq_kernels.nn, awq_kernels.checkpoint\n"
        "found = {'safetensors', 'gguf', 'tqdm', 'transformers'} & (set(sys.modules) - before)\n"
        "assert not found, found\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_missing_package_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written.write(tmp_path, "gemm", written.model_for("gemm"))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs safetensors: pip install 'awq-kernels\[checkpoint\]'"):
        checkpoint.open(folder)


@pytest.mark.gpu
@pytest.mark.parametrize("name", FORMATS)
def test_converting_on_a_gpu_gives_the_same_tensors(name: str, device: torch.device, tmp_path: pathlib.Path) -> None:
    found = checkpoint.open(written.write(tmp_path, name, written.model_for(name)))
    here, there = found.linear(LAYER), found.linear(LAYER, device)
    for attribute in ("kernel", "scales", "zeros"):
        assert getattr(there, attribute).is_cuda
        assert torch.equal(getattr(here, attribute), getattr(there, attribute).cpu())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""Models of transformers with weights from checkpoints: the same logits and the same text as with the exact weights."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import torch
import transformers

from awq_kernels import checkpoint
from awq_kernels.checkpoint import CheckpointError
from awq_kernels.nn import W4A16Linear, replace_linears
from awq_kernels.transformers import load
from testing import checkpoints as written

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama_scaled": lambda: transformers.LlamaConfig(
        **SIZES,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES),  # with biases of q, k and v
    "mistral": lambda: transformers.MistralConfig(**SIZES, sliding_window=16, head_dim=32),
}
GROUP_SIZE = 64


def random_model(name: str) -> tuple[Any, dict[str, written.Layer]]:
    """A model in float32 whose linear layers, the last one excepted, have exact 4-bit weights."""
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name](), dtype=torch.float32).eval()
    layers = {}
    with torch.no_grad():
        for index, (module_name, module) in enumerate(model.named_modules()):
            if isinstance(module, torch.nn.Linear) and module_name != "lm_head":
                layer = written.random_layer(
                    *module.weight.shape, GROUP_SIZE, index, bias=module.bias is not None, symmetric=True
                )
                layer.scales /= 4  # the spread of weights that a trained layer has
                layers[module_name] = layer
                module.weight.copy_(layer.weight)
                if layer.bias is not None:
                    module.bias.copy_(torch.from_numpy(layer.bias))
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.rpartition(".")[0] not in layers:
                vector = 1 + torch.randn_like(parameter) / 8
                parameter.copy_((vector if parameter.dim() == 1 else parameter).half().float())
    return model, layers


def write(folder: pathlib.Path, model: Any, layers: dict[str, written.Layer], kind: str = "gemm") -> pathlib.Path:
    others = {
        name: value.half()
        for name, value in model.state_dict().items()
        if name.rpartition(".")[0] not in layers and not (model.config.tie_word_embeddings and name == "lm_head.weight")
    }
    folder.mkdir(exist_ok=True)
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"dtype": "float16", "quantization_config": written.FOLDERS[kind].settings(GROUP_SIZE)}
    tensors = written.state_dict(written.Model(layers, others), written.FOLDERS[kind].write)
    return written.write_folder(folder, tensors, config)


def assert_near(actual: torch.Tensor, expected: torch.Tensor, error: float) -> None:
    ratio = float((actual.float() - expected).norm() / expected.norm())
    assert ratio <= error, f"relative error {ratio:.3g}, allowed {error:.3g}"


TOKENS = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_text(name: str, tmp_path: pathlib.Path) -> None:
    model, layers = random_model(name)
    loaded = load(write(tmp_path, model, layers))
    assert {n for n, module in loaded.named_modules() if isinstance(module, W4A16Linear)} == set(layers)
    assert loaded.dtype == torch.float16 and not loaded.training
    with torch.inference_mode():
        expected = model(TOKENS).logits
        # Float16 activations through two layers of random weights; the weights themselves are exact.
        assert_near(loaded(TOKENS).logits, expected, 1e-2)
        text = loaded.generate(TOKENS[:1], max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert text.shape == (1, 32)


@pytest.mark.parametrize("kind", ["gptq_v1", "compressed_symmetric"])
def test_bfloat16_of_other_formats(kind: str, tmp_path: pathlib.Path) -> None:
    model, layers = random_model("qwen2")
    loaded = load(write(tmp_path, model, layers, kind), dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    with torch.inference_mode():
        assert_near(loaded(TOKENS).logits, model(TOKENS).logits, 6e-2)


def test_converted_folder_gives_the_same_logits(tmp_path: pathlib.Path) -> None:
    model, layers = random_model("llama")
    folder = write(tmp_path / "source", model, layers)
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 3, "pad_token_id": 0}))
    converted = checkpoint.convert(folder, tmp_path / "out", progress=False)
    one, other = load(folder), load(converted)
    with torch.inference_mode():
        assert torch.equal(one(TOKENS).logits, other(TOKENS).logits)
        assert other.generate(TOKENS[:1]).shape == (1, 27)


def test_missing_tensors_are_named(tmp_path: pathlib.Path) -> None:
    model, layers = random_model("mistral")
    state = model.state_dict
    model.state_dict = lambda: {name: value for name, value in state().items() if name != "model.norm.weight"}
    with pytest.raises(CheckpointError, match=r"found no model.norm.weight \(of 1 that are missing\)"):
        load(write(tmp_path, model, layers))


def test_tensors_without_a_place_are_named(tmp_path: pathlib.Path) -> None:
    model, layers = random_model("mistral")
    state = model.state_dict
    model.state_dict = lambda: {**state(), "model.extra": torch.zeros(1)}
    with pytest.warns(UserWarning, match=r"the model has no place for model.extra \(1 tensors\)"):
        load(write(tmp_path, model, layers))


def test_a_model_of_another_size_is_refused(tmp_path: pathlib.Path) -> None:
    model, layers = random_model("llama")
    folder = write(tmp_path, model, layers)
    with pytest.raises(ValueError, match=r"down_proj: found \[128, 320\] in the model, expected \[128, 192\]"):
        load(folder, intermediate_size=320)
    opened = checkpoint.open(folder)
    with pytest.raises(ValueError, match="down_proj: found no such module in the model, expected an nn.Linear"):
        replace_linears(model.model, opened)
    biased = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**SIZES, attention_bias=True))
    with pytest.raises(ValueError, match="k_proj: found a bias in the model, expected none"):
        replace_linears(biased, opened)
    assert not any(isinstance(module, W4A16Linear) for module in biased.modules())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

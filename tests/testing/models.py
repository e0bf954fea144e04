"""Small random models of transformers whose linear layers have exact 4-bit weights, and their checkpoints."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import torch
import transformers

from testing import checkpoints as written

if not transformers.utils.is_torch_available():
    pytest.skip("this transformers does not work with this PyTorch", allow_module_level=True)

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
    """The model as a folder in one of `written.FOLDERS`, in float16."""
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

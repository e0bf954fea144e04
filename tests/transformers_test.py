"""Models of transformers with weights from checkpoints: the same logits and the same text as with the exact weights."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
import transformers

from awq_kernels import checkpoint
from awq_kernels.checkpoint import CheckpointError
from awq_kernels.nn import W4A16Linear, replace_linears
from awq_kernels.transformers import load
from testing import models


def assert_near(actual: torch.Tensor, expected: torch.Tensor, error: float) -> None:
    ratio = float((actual.float() - expected).norm() / expected.norm())
    assert ratio <= error, f"relative error {ratio:.3g}, allowed {error:.3g}"


TOKENS = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", models.CONFIGS)
def test_logits_and_text(name: str, tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model(name)
    loaded = load(models.write(tmp_path, model, layers))
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
    model, layers = models.random_model("qwen2")
    loaded = load(models.write(tmp_path, model, layers, kind), dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    with torch.inference_mode():
        assert_near(loaded(TOKENS).logits, model(TOKENS).logits, 6e-2)


def test_converted_folder_gives_the_same_logits(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("llama")
    folder = models.write(tmp_path / "source", model, layers)
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 3, "pad_token_id": 0}))
    converted = checkpoint.convert(folder, tmp_path / "out", progress=False)
    one, other = load(folder), load(converted)
    with torch.inference_mode():
        assert torch.equal(one(TOKENS).logits, other(TOKENS).logits)
        assert other.generate(TOKENS[:1]).shape == (1, 27)


def test_missing_tensors_are_named(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("mistral")
    state = model.state_dict
    model.state_dict = lambda: {name: value for name, value in state().items() if name != "model.norm.weight"}
    with pytest.raises(CheckpointError, match=r"found no model.norm.weight \(of 1 that are missing\)"):
        load(models.write(tmp_path, model, layers))


def test_tensors_without_a_place_are_named(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("mistral")
    state = model.state_dict
    model.state_dict = lambda: {**state(), "model.extra": torch.zeros(1)}
    with pytest.warns(UserWarning, match=r"the model has no place for model.extra \(1 tensors\)"):
        load(models.write(tmp_path, model, layers))


def test_a_model_of_another_size_is_refused(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("llama")
    folder = models.write(tmp_path, model, layers)
    with pytest.raises(ValueError, match=r"down_proj: found \[128, 320\] in the model, expected \[128, 192\]"):
        load(folder, intermediate_size=320)
    opened = checkpoint.open(folder)
    with pytest.raises(ValueError, match="down_proj: found no such module in the model, expected an nn.Linear"):
        replace_linears(model.model, opened)
    biased = transformers.AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(**models.SIZES, attention_bias=True)
    )
    with pytest.raises(ValueError, match="k_proj: found a bias in the model, expected none"):
        replace_linears(biased, opened)
    assert not any(isinstance(module, W4A16Linear) for module in biased.modules())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

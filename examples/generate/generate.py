"""Text from a 4-bit checkpoint.

    ./bazelw run //examples/generate -- --model FOLDER_OR_GGUF --prompt "Why is the sky blue?"

The same in plain Python, where awq-kernels[checkpoint] and transformers are installed:

    python examples/generate/generate.py --model FOLDER_OR_GGUF --prompt "Why is the sky blue?"

Prompts go through the model's chat template, if it has one. Several prompts are one batch.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from awq_kernels import checkpoint
from decoder import PRECISIONS, Decoder


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 2 on")
    return int(text)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected more than 0 and at most 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    new = argparse.ArgumentParser(prog="generate", description="Text from a 4-bit checkpoint.")
    new.add_argument("--model", required=True, type=pathlib.Path, help="a folder as on Hugging Face, or a GGUF file")
    new.add_argument("--prompt", action="append", default=[], help="several are one batch; - is stdin")
    new.add_argument("--system", help="the system's part of the chat template")
    new.add_argument("--raw", action="store_true", help="continue the prompt itself, without a chat template")
    new.add_argument("--max-tokens", type=_count, default=256, help="the most to generate (default: 256)")
    new.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token (default)")
    new.add_argument("--top-p", type=_share, default=1.0, help="share of the probability to draw from (default: 1)")
    new.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    new.add_argument("--perplexity", type=pathlib.Path, metavar="FILE", help="compute that of a text, generate nothing")
    new.add_argument("--text-tokens", type=_count, default=2000, help="how much of the text counts (default: 2000)")
    new.add_argument("--device", help="cuda or cpu (default: cuda if there is one)")
    new.add_argument("--precision", choices=PRECISIONS, default="4bit", help="of the 4-bit weights (default: 4bit)")
    return new


def chooser(temperature: float, top_p: float, seed: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """From logits [B, V] to tokens [B]: the likeliest, or drawn from the likeliest ones that make up `top_p`."""
    if temperature == 0:
        return lambda logits: logits.argmax(-1)
    generator = torch.Generator(device).manual_seed(seed)

    def draw(logits: Tensor) -> Tensor:
        probabilities, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities
        kept = torch.where(before < top_p, probabilities, torch.zeros_like(probabilities))
        drawn = torch.multinomial(kept, 1, generator=generator)
        return order.gather(-1, drawn)[:, 0]

    return draw


class Text:
    """The text of tokens as they come; a character may take several of them."""

    def __init__(self, tokenizer: Any) -> None:
        """Of a tokenizer of transformers."""
        self.tokenizer, self.tokens, self.shown = tokenizer, [], ""

    def add(self, token: int) -> str:
        """What a further token adds to the text."""
        self.tokens.append(token)
        text = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
        if text.endswith("\N{REPLACEMENT CHARACTER}"):  # the rest of the character is to come
            return ""
        new, self.shown = text[len(self.shown) :], text
        return new


def open_tokenizer(path: pathlib.Path) -> Any:
    """The tokenizer of a folder or of a GGUF file."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is in the files
    import transformers

    if path.suffix == ".gguf":
        return transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    return transformers.AutoTokenizer.from_pretrained(path)


def encoded(tokenizer: Any, prompt: str, system: str | None, raw: bool) -> list[int]:
    """The tokens of a prompt."""
    if raw or not tokenizer.chat_template:
        return list(tokenizer(prompt)["input_ids"])
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def stop_tokens(opened: checkpoint.Checkpoint, tokenizer: Any) -> set[int]:
    """The tokens that end a text."""
    configured = opened.config.get("eos_token_id")
    ends = configured if isinstance(configured, list) else [configured]
    return {end for end in [*ends, tokenizer.eos_token_id] if end is not None}


def generate(
    model: Decoder,
    tokenizer: Any,
    prompts: list[list[int]],
    stops: set[int],
    choose: Callable[[Tensor], Tensor],
    most: int,
) -> None:
    """Prints what follows the prompts: one as it comes, several when all are done; then how fast it was."""
    texts = [Text(tokenizer) for _ in prompts]
    open_rows, count = set(range(len(prompts))), 0
    start = first = time.perf_counter()
    for tokens in model.generate(prompts, most, choose):
        first = time.perf_counter() if count == 0 else first
        count += 1
        for row in sorted(open_rows):
            if tokens[row] in stops:
                open_rows.discard(row)
                continue
            new = texts[row].add(tokens[row])
            if len(prompts) == 1:
                print(new, end="", flush=True)
        if not open_rows:
            break
    end = time.perf_counter()
    if len(prompts) == 1:
        print()
    else:
        for row, text in enumerate(texts):
            print(f"--- {row + 1} ---\n{text.shown}")
    read = sum(len(prompt) for prompt in prompts)
    print(f"\n{read} tokens read in {first - start:.2f} s ({read / (first - start):.1f} per second)", file=sys.stderr)
    if count > 1:
        # The capture of the graph counts; so do the tokens of sequences that ended before others.
        made = (count - 1) * len(prompts)
        rate = made / (end - first)
        print(f"{made} tokens generated in {end - first:.2f} s ({rate:.1f} per second)", file=sys.stderr)
    if model.place.device.type == "cuda":
        print(f"peak memory of the GPU: {torch.cuda.max_memory_allocated() / 1e9:.2f} GB", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    options = parser().parse_args(arguments)
    if not options.prompt and options.perplexity is None:
        parser().error("one of --prompt and --perplexity is needed")
    # `bazel run` starts programs elsewhere; paths are the user's.
    folder = pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        print("on the CPU: computing by the reference in plain PyTorch, which is slow", file=sys.stderr)
    try:
        # As stored: single_query_attention turns pairs as well as halves.
        opened = checkpoint.open(folder / options.model, neox=False)
        model = Decoder(opened, device, options.precision)
    except (OSError, ValueError) as error:  # what is wrong with a file, or not in this decoder
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"error: {options.model}: found no {error}, expected one, as in models of this family", file=sys.stderr)
        return 1
    tokenizer = open_tokenizer((folder / options.model).absolute())
    if options.perplexity is not None:
        text = (folder / options.perplexity).read_text(encoding="utf-8")
        tokens = tokenizer(text)["input_ids"][: options.text_tokens]
        print(f"perplexity of {len(tokens)} tokens: {model.perplexity(tokens):.4f}")
        return 0
    texts = [sys.stdin.read() if prompt == "-" else prompt for prompt in options.prompt]
    prompts = [encoded(tokenizer, text, options.system, options.raw) for text in texts]
    choose = chooser(options.temperature, options.top_p, options.seed, model.place.device)
    generate(model, tokenizer, prompts, stop_tokens(opened, tokenizer), choose, options.max_tokens)
    return 0


if __name__ == "__main__":
    sys.exit(main())

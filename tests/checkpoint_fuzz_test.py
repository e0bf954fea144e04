"""Damaged checkpoints end in an error of ours, or in the tensors that an independent reader finds in the same bytes.

The environment variable CHECKPOINT_FUZZ_CASES says how many files are damaged, 10000 by default, dealt out to the
formats.
"""

from __future__ import annotations

import io
import os
import pathlib
import random
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import awq_kernels as awq
from awq_kernels import checkpoint
from awq_kernels.checkpoint import CheckpointError
from testing import checkpoints as written

LAYER = "layers.0.up_proj"
CASES = int(os.environ.get("CHECKPOINT_FUZZ_CASES", "10000"))
TARGETS = [*written.FOLDERS, "llm_awq", "gguf_q4_0", "gguf_q4_1"]
Files = dict[str, bytes]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One to three changes: bits, bytes, numbers of eight bytes, digits and letters, cuts, insertions, repetitions."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        # Headers are small and matter most.
        limit = len(out) if chance.random() < 0.4 else min(len(out), 1500)
        at = chance.randrange(max(limit, 1))
        kind = chance.randrange(8)
        if not out:
            break
        if kind == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            out[at] = chance.randrange(256)
        elif kind == 2:
            number = chance.choice([0, 1, 2**31, 2**63 - 1, 2**64 - 1, 2**40, chance.randrange(5000)])
            out[at : at + 8] = number.to_bytes(8, "little")
        elif kind == 3:
            out[at : at + 1] = chance.choice([b"9", b"0", b"a", b'"', b"{", b"[", b"-", b".", b"\xff"])
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            del out[at : at + chance.randint(1, 40)]
        elif kind == 6:
            out[at:at] = chance.randbytes(chance.randint(1, 40))
        else:
            out[at:at] = out[at : at + chance.randint(1, 80)]
    return bytes(out)


def sound(target: str, scratch: pathlib.Path) -> tuple[Files, Callable[[Files], list[dict[str, Tensor]]]]:
    """The files of a small checkpoint, and a reader of the weights and tensors that (damaged) files hold.

    The reader gives every reading that a damaged configuration can stand for.
    """
    layer = written.random_layer(8, 256, 128, symmetric="symmetric" in target, least_zero=1)
    model = written.Model({LAYER: layer}, {"norm.weight": torch.arange(8.0)})
    buffer = io.BytesIO()
    if target.startswith("gguf"):
        kind = target.removeprefix("gguf_").upper()
        small = written.random_layer(8, 64, 32, symmetric=kind == "Q4_0")
        tensors = {
            f"{LAYER}.weight": (kind, (8, 64), written.gguf_blocks(small, kind)),
            "norm.weight": written.float_tensor(model.others["norm.weight"]),
        }
        path = scratch / "model.gguf"
        metadata = {"general.architecture": "other", "words": ["a", "bc"], "number": 3, "real": 0.5}
        written.write_gguf(path, metadata, tensors)
        return {"model.gguf": path.read_bytes()}, lambda files: [written.read_gguf(files["model.gguf"])]
    if target == "llm_awq":
        torch.save(written.state_dict(model, lambda layer: written.gemv_fast(layer, "scaled_zeros")), buffer)

        def load(files: Files) -> dict[str, Tensor]:
            path = scratch / "again.pt"
            path.write_bytes(files["model.pt"])  # mapped, which leaves out the check of the archive's checksums
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return dict(content.get("state_dict", content))

        return {"model.pt": buffer.getvalue()}, lambda files: [weights(target, load(files))]
    written.write(scratch, target, model, shards=2)
    files = {path.name: path.read_bytes() for path in scratch.iterdir()}
    meant = ["gptq_v1", "gptq_v2"] if target.startswith("gptq") else [target]
    if target.startswith("compressed"):
        meant = ["compressed_asymmetric"]  # the reader uses zero points if there are some

    def read(files: Files) -> list[dict[str, Tensor]]:
        tensors: dict[str, Tensor] = {}
        for name, data in files.items():
            if name.endswith(".safetensors"):
                tensors |= written.read_safetensors(data)
        return [weights(name, tensors) for name in meant]

    return files, read


def weights(target: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with those of the layer replaced by its weight."""
    own = {name.removeprefix(LAYER + "."): value for name, value in tensors.items() if name.startswith(LAYER + ".")}
    others = {name: value for name, value in tensors.items() if not name.startswith(LAYER + ".")}
    return {**others, f"{LAYER}.weight": written.weight_of(target, own)} if own else others


def found(path: pathlib.Path) -> dict[str, Tensor]:
    """What awq_kernels reads."""
    opened = checkpoint.open(path)
    read = dict(opened.read(progress=False))
    matrices = {
        f"{name}.weight": awq.dequantize(value) for name, value in read.items() if isinstance(value, awq.PackedV2)
    }
    return matrices | {name: value for name, value in read.items() if isinstance(value, Tensor)}


def agrees(one: Tensor, other: Tensor) -> bool:
    """Equal up to the rounding of scale * zero to float16, where NaN equals NaN."""
    if one.shape != other.shape or one.numel() == 0:
        return one.shape == other.shape
    a, b = one.double(), other.double()
    # Damaged scales are of any size: 16 codes and a zero point of 15 bound the terms of a weight.
    limit = b.abs().amax().clamp(min=2.0**-14) * 2.0**-10 * 16
    return bool(((a == b) | (a.isnan() & b.isnan()) | ((a - b).abs() <= limit)).all())


@pytest.mark.parametrize("target", TARGETS)
def test_damaged(target: str, tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole, reader = sound(target, tmp_path_factory.mktemp("sound"))
    path = tmp_path if len(whole) > 1 else tmp_path / next(iter(whole))
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    intact = found(path)
    [*_, expected] = [
        reading for reading in reader(whole) if all(agrees(intact[name], reading[name]) for name in reading)
    ]
    assert expected.keys() == intact.keys(), "the writer and both readers agree before anything is damaged"

    outcomes = {"refused": 0, "read": 0}
    for case in range(-(-CASES // len(TARGETS))):
        chance = random.Random(f"{target} {case}")
        name = chance.choice(list(whole))
        files = {**whole, name: damaged(whole[name], chance)}
        if chance.random() < 0.05:
            del files[name]
        # A new file each time: the one before is mapped.
        (tmp_path / name).unlink(missing_ok=True)
        if name in files:
            (tmp_path / name).write_bytes(files[name])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = found(path)
        except (CheckpointError, FileNotFoundError):
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            try:
                readings = reader(files)
            except Exception as error:
                raise AssertionError(f"case {case}: {name} was read, and is not readable: {error}") from error
            good = any(all(n in reading and agrees(result[n], reading[n]) for n in result) for reading in readings)
            assert good, f"case {case}: {name} was read as something else"
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).write_bytes(whole[name])
    # Both kinds occur, or the damage is not what this test is for.
    assert min(outcomes.values()) > 0, outcomes


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

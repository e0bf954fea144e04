"""Decode attention of both modules against the reference: results, written slots, and slots that must not change."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from awq_kernels import reference
from testing.numeric import TINY, UNIT, assert_close, assert_same_bits

pytestmark = pytest.mark.gpu

FP16, BF16, FP32 = torch.float16, torch.bfloat16, torch.float32
HEAD_DIMS = [32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256]


class Step:
    """The tensors of one decoding step, and what the reference makes of them."""

    def __init__(
        self,
        device: torch.device,
        *,
        batch: int = 2,
        heads: int = 4,
        kv_heads: int = 4,
        dim: int = 64,
        length: int = 48,
        dtype: torch.dtype = FP16,
        lengths: list[int] | None = None,
        timestep: int = 20,
        alibi: bool = False,
        fused: bool = False,
        poison: bool = True,
        **rotary: Any,
    ) -> None:
        def randn(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, device=device).to(dtype)

        x = 4 if dtype == FP32 else 8
        if fused:  # q, k and v as slices of one projection, as callers have them
            projection = randn(batch, (heads + 2 * kv_heads) * dim)
            parts = projection.split([heads * dim, kv_heads * dim, kv_heads * dim], dim=1)
            self.q, self.k, self.v = (part.unflatten(1, (-1, dim)) for part in parts)
        else:
            self.q, self.k, self.v = randn(batch, heads, dim), randn(batch, kv_heads, dim), randn(batch, kv_heads, dim)
        self.k_cache, self.v_cache = randn(batch, kv_heads, dim // x, length, x), randn(batch, kv_heads, length, dim)
        self.lengths = None if lengths is None else torch.tensor(lengths, dtype=torch.int32, device=device)
        self.positions = [timestep] * batch if lengths is None else lengths
        if poison:  # slots past a row's own length hold nothing yet and may not be read
            for row, t in enumerate(self.positions):
                self.k_cache[row, :, :, t:] = torch.nan
                self.v_cache[row, :, t:] = torch.nan
        slopes = torch.pow(2.0, -8 * torch.arange(1, heads + 1, device=device) / heads) if alibi else None
        self.options = (self.lengths, slopes, timestep)
        self.rotary = rotary

    def call(self, function: Any, k_cache: torch.Tensor, v_cache: torch.Tensor) -> torch.Tensor:
        return function(self.q, self.k, self.v, k_cache, v_cache, *self.options, **self.rotary)

    def check(self, module: ModuleType) -> torch.Tensor:
        """Runs the module and compares everything; returns its result."""
        k_cache, v_cache = self.k_cache.clone(), self.v_cache.clone()
        out = self.call(module.single_query_attention, k_cache, v_cache)
        k_exact, v_exact = self.k_cache, self.v_cache
        expected = self.call_reference(k_exact, v_exact)
        assert out.dtype == self.q.dtype and out.is_contiguous()
        unit = UNIT[out.dtype]

        # The slot of this step: v as it came, k after its rotation with float32 angles, whose error grows with t.
        for row, t in enumerate(self.positions):
            slot = t % v_cache.shape[2]
            assert_same_bits(v_cache[row, :, slot], self.v[row])
            new, key = k_exact[row, :, :, slot], self.k[row].double().abs().amax()
            turn = t * self.rotary.get("rotary_scale", 1.0) * 2.0**-22 + 2.0**-22
            allowed = key * turn * (self.rotary.get("rotary_embedding_dim", 0) > 0) + 2 * TINY[out.dtype]
            assert_close(k_cache[row, :, :, slot], new, relative=2.125 * unit, absolute=allowed)
            # Every other slot keeps its bits.
            k_cache[row, :, :, slot], v_cache[row, :, slot] = new, v_exact[row, :, slot]
        assert_same_bits(k_cache, k_exact)
        assert_same_bits(v_cache, v_exact)

        # The output is a mean of rows of v. Its own rounding is relative. Rounding the weights, the rotated query and
        # the rotated key to `dtype` moves every term by a few units: together below 8 units of the row's largest
        # element. float32 sums over long rows, exp and rotary angles add `turn` and 2^-18.
        longest = max(self.positions, default=0)
        rotated = self.rotary.get("rotary_embedding_dim", 0) > 0
        turn = longest * self.rotary.get("rotary_scale", 1.0) * 2.0**-21 if rotated else 0.0
        scale = expected.double().abs().amax(-1, keepdim=True)
        assert_close(out, expected, relative=1.0625 * unit, absolute=scale * (8 * unit + 2.0**-18 + turn))
        return out

    def call_reference(self, k_cache: torch.Tensor, v_cache: torch.Tensor) -> torch.Tensor:
        """The reference's result before rounding: its output has the dtype of q, so q goes in as float32."""
        return reference.single_query_attention(
            self.q.float(), self.k, self.v, k_cache, v_cache, *self.options, **self.rotary
        )


@pytest.fixture(params=["awq_inference_engine", "ft_attention"])
def module(request: pytest.FixtureRequest, engine: ModuleType, ft: ModuleType) -> ModuleType:
    return {"awq_inference_engine": engine, "ft_attention": ft}[request.param]


@pytest.mark.parametrize("dtype", [FP16, BF16, FP32], ids=str)
@pytest.mark.parametrize("dim", HEAD_DIMS)
def test_head_dimensions(dim: int, dtype: torch.dtype, module: ModuleType, device: torch.device) -> None:
    for timestep in (0, 1, 47, 130):
        Step(device, dim=dim, dtype=dtype, timestep=timestep).check(module)
        Step(device, dim=dim, dtype=dtype, timestep=timestep, rotary_embedding_dim=dim, fused=True).check(module)


@pytest.mark.parametrize("dtype", [FP16, BF16, FP32], ids=str)
@pytest.mark.parametrize("group", range(1, 9))
def test_grouped_heads(group: int, dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for kv_heads in (1, 3):
        for length, timestep in ((64, 40), (2048, 1999)):
            Step(
                device,
                heads=group * kv_heads,
                kv_heads=kv_heads,
                dim=128,
                dtype=dtype,
                length=length,
                timestep=timestep,
                fused=True,
                rotary_embedding_dim=128,
            ).check(engine)


@pytest.mark.parametrize("group", [10, 16, 32])
def test_many_heads_on_one(group: int, engine: ModuleType, device: torch.device) -> None:
    for timestep in (5, 700):
        Step(device, heads=group, kv_heads=1, dim=64, length=1024, timestep=timestep).check(engine)


@pytest.mark.parametrize("length", [1, 2, 7, 33, 512])
def test_the_cache_is_circular(length: int, module: ModuleType, device: torch.device) -> None:
    """Positions before the cache is full, when it fills, and after it has wrapped several times."""
    for timestep in sorted({0, length - 1, length, length + 1, 2 * length, 3 * length + length // 2, 7 * length - 1}):
        Step(device, length=length, timestep=timestep, alibi=True, rotary_embedding_dim=32).check(module)


def test_consecutive_steps(engine: ModuleType, device: torch.device) -> None:
    """A sequence as a model decodes it: every step reads what the steps before have written."""
    step = Step(device, length=16, heads=8, kv_heads=2, timestep=0)
    k_cache, v_cache = step.k_cache.clone(), step.v_cache.clone()
    for t in range(40):
        step.q, step.k, step.v = (torch.randn_like(tensor) for tensor in (step.q, step.k, step.v))
        step.options = (None, None, t)
        step.rotary = {"rotary_embedding_dim": 64}
        out = step.call(engine.single_query_attention, k_cache, v_cache)
        expected = step.call_reference(step.k_cache, step.v_cache)
        scale = expected.abs().amax(-1, keepdim=True)
        assert_close(out, expected, relative=2.0**-10, absolute=scale * 8 * 2.0**-11 + 1e-4)


@pytest.mark.parametrize("dtype", [FP16, FP32], ids=str)
def test_rows_of_different_lengths(dtype: torch.dtype, module: ModuleType, device: torch.device) -> None:
    lengths = [0, 1, 5, 31, 32, 33, 63, 100, 255, 1000, 2047, 511]
    for timestep in (2047, 4000):  # the exact bound, and a larger one
        Step(
            device,
            batch=len(lengths),
            lengths=lengths,
            heads=8,
            kv_heads=2,
            length=2048,
            dtype=dtype,
            timestep=timestep,
            rotary_embedding_dim=64,
        ).check(module)


def test_rows_of_which_some_have_wrapped(engine: ModuleType, device: torch.device) -> None:
    lengths = [3, 63, 64, 65, 128, 200, 640]
    Step(device, batch=7, lengths=lengths, length=64, timestep=640, alibi=True, fused=True).check(engine)


@pytest.mark.parametrize("neox", [True, False], ids=["neox", "interleaved"])
@pytest.mark.parametrize(("dim", "rotated"), [(64, 64), (128, 32), (80, 20), (96, 2), (256, 256)])
def test_rotary_styles(dim: int, rotated: int, neox: bool, module: ModuleType, device: torch.device) -> None:
    for base, scale in ((10000.0, 1.0), (500000.0, 0.25), (100.0, 2.0)):
        for dtype in (FP16, FP32):
            Step(
                device,
                dim=dim,
                dtype=dtype,
                timestep=41,
                fused=True,
                rotary_embedding_dim=rotated,
                rotary_base=base,
                rotary_scale=scale,
                neox_rotary_style=neox,
            ).check(module)


@pytest.mark.parametrize("kv_heads", [2, 8])
def test_alibi(kv_heads: int, module: ModuleType, device: torch.device) -> None:
    for timestep in (0, 30, 47, 900):
        Step(device, heads=8, kv_heads=kv_heads, timestep=timestep, alibi=True).check(module)


def test_large_logits_do_not_overflow(engine: ModuleType, device: torch.device) -> None:
    """Logits in the thousands: the softmax must subtract the maximum, and picks one slot."""
    step = Step(device, dtype=FP32, timestep=47)
    step.q *= 300
    step.check(engine)


def test_batch_strides_of_any_size(engine: ModuleType, device: torch.device) -> None:
    """q, k and v with three different batch strides, starting at an odd element."""
    step = Step(device, batch=3)
    for index, name in enumerate(("q", "k", "v")):
        tensor = getattr(step, name)
        wide = torch.empty(3, tensor[0].numel() + 1 + 2 * index, dtype=tensor.dtype, device=device)
        part = wide[:, 1 : 1 + tensor[0].numel()].unflatten(1, tensor.shape[1:])
        setattr(step, name, part.copy_(tensor))
    step.check(engine)


# Batch, length and heads of the speed targets.
@pytest.mark.parametrize(
    ("batch", "length", "kv_heads"),
    [(1, 512, 32), (1, 4096, 32), (1, 32768, 32), (8, 2048, 32), (64, 4096, 8), (1, 32768, 8), (32, 2048, 8)],
)
def test_model_shapes(batch: int, length: int, kv_heads: int, engine: ModuleType, device: torch.device) -> None:
    Step(
        device, batch=batch, heads=32, kv_heads=kv_heads, dim=128, length=length, timestep=length - 1, fused=True
    ).check(engine)


@pytest.mark.parametrize("dtype", [FP16, FP32], ids=str)
def test_past_two_to_the_16_positions(dtype: torch.dtype, engine: ModuleType, device: torch.device) -> None:
    for timestep in (65535, 65536, 80000, 300_000):
        Step(
            device, batch=1, heads=4, kv_heads=1, length=70_000, timestep=timestep, dtype=dtype, rotary_embedding_dim=64
        ).check(engine)


def test_caches_past_two_to_the_31_elements(engine: ModuleType, device: torch.device) -> None:
    batch, kv_heads, length, dim = 5, 8, 1 << 18, 256  # 2.7e9 elements a cache; the last row lies past 2^31
    if torch.cuda.mem_get_info()[0] < 40 << 30:
        pytest.skip("needs 40 GiB of free GPU memory")
    k_cache = torch.zeros(batch, kv_heads, dim // 8, length, 8, dtype=FP16, device=device)
    v_cache = torch.zeros(batch, kv_heads, length, dim, dtype=FP16, device=device)
    lengths = torch.tensor([3, 3, 3, 3, length - 1], dtype=torch.int32, device=device)
    k_cache[4, :, :, -3000:].normal_()
    v_cache[4].normal_()
    q = torch.randn(batch, 16, dim, device=device).half()
    k, v = torch.randn(2, batch, kv_heads, dim, device=device).half()
    out = engine.single_query_attention(q, k, v, k_cache, v_cache, lengths, None, length - 1)
    assert_same_bits(v_cache[:, :, 3][:4], v[:4])
    assert_same_bits(v_cache[4, :, -1], v[4])
    assert_same_bits(k_cache[4, :, :, -1].reshape(kv_heads, dim), k[4])
    # The step writes what it has written already, so it may run again as the reference: one row, one head at a time.
    for head in range(kv_heads):
        expected = reference.single_query_attention(
            q[4:, 2 * head : 2 * head + 2].float(),
            k[4:, head : head + 1],
            v[4:, head : head + 1],
            k_cache[4:, head : head + 1],
            v_cache[4:, head : head + 1],
            lengths[4:],
            None,
            length - 1,
        )
        scale = expected.abs().amax(-1, keepdim=True)
        actual = out[4:, 2 * head : 2 * head + 2]
        assert_close(actual, expected, relative=2.0**-10, absolute=scale * 2.0**-7)
    del k_cache, v_cache
    torch.cuda.empty_cache()


def test_zero_rows(module: ModuleType, device: torch.device) -> None:
    assert Step(device, batch=0, lengths=[]).check(module).shape == (0, 4, 64)
    assert Step(device, batch=0).check(module).shape == (0, 4, 64)


def test_two_runs_give_the_same_bits(module: ModuleType, device: torch.device) -> None:
    for length in (64, 8192):
        step = Step(device, heads=32, kv_heads=8, dim=128, length=length, timestep=length - 1, fused=True)
        runs = [step.call(module.single_query_attention, step.k_cache, step.v_cache) for _ in range(3)]
        assert_same_bits(runs[0], runs[1])
        assert_same_bits(runs[0], runs[2])


def test_both_modules_give_the_same_bits(engine: ModuleType, ft: ModuleType, device: torch.device) -> None:
    step = Step(device, heads=8, kv_heads=2, length=1024, timestep=1000, rotary_embedding_dim=64)
    first = step.call(engine.single_query_attention, step.k_cache.clone(), step.v_cache.clone())
    assert_same_bits(first, step.call(ft.single_query_attention, step.k_cache.clone(), step.v_cache.clone()))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

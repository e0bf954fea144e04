"""AutoAWQ's own layers, unchanged, on awq_ext and awq_v2_ext; and the five-argument gemm of old copies.

AutoAWQ is not imported as a whole, which would need everything it requires: its layers' modules are loaded from their
files. Without a GPU the kernels' place is taken by awq_kernels.reference.
"""

from __future__ import annotations

import email
import importlib
import importlib.util
import os
import pathlib
import re
import sys
import types
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from awq_kernels import packing, reference
from testing.numeric import assert_close

AUTOAWQ = importlib.util.find_spec("awq")
N, K = 64, 256


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def compat(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, its engine being the reference on the CPU."""
    import awq_kernels_compat

    if device.type == "cpu":
        stand_in = types.SimpleNamespace(**{name: getattr(reference, name) for name in reference.__all__})
        monkeypatch.setattr(awq_kernels_compat, "engine", lambda: stand_in)
        for name in ("awq_ext", "awq_v2_ext"):
            monkeypatch.setattr(importlib.import_module(name), "engine", lambda: stand_in)
    awq_kernels_compat._kept.clear()
    yield awq_kernels_compat


@pytest.fixture
def layers(compat: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """AutoAWQ's linear layers by name."""
    if AUTOAWQ is None or AUTOAWQ.submodule_search_locations is None:
        pytest.skip("autoawq is not installed")
    root = pathlib.Path(next(iter(AUTOAWQ.submodule_search_locations)))
    for name in ("awq", "awq.modules", "awq.modules.linear", "awq.modules.triton", "awq.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "accelerate", types.ModuleType("accelerate"))  # imported, not called
    loaded = {}
    for kind, name in (("gemm", "WQLinear_GEMM"), ("gemv", "WQLinear_GEMV"), ("gemv_fast", "WQLinear_GEMVFast")):
        monkeypatch.delitem(sys.modules, f"awq.modules.linear.{kind}", raising=False)
        loaded[kind] = getattr(importlib.import_module(f"awq.modules.linear.{kind}"), name)
    return loaded


def quantized(group_size: int, device: torch.device) -> tuple[nn.Linear, packing.QuantizedWeight]:
    weight = packing.quantize(torch.randn(N, K, device=device).half() / 16, group_size)
    linear = nn.Linear(K, N).half().to(device)
    linear.weight.data = packing.dequantize(weight, torch.float16)
    return linear, weight


@pytest.mark.parametrize("rows", [(1, 1), (1, 7), (3, 1), (1, 9), (2, 40), (2, 600)])
@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("kind", ["gemm", "gemv", "gemv_fast"])
def test_autoawq_s_layers_run_unchanged(
    kind: str, group_size: int, rows: tuple[int, int], layers: Any, device: torch.device
) -> None:
    if kind == "gemv" and group_size == 32:
        pytest.skip("layout v1 has no group size 32, in AutoAWQ's kernels either")
    linear, weight = quantized(group_size, device)
    scales, zeros = weight.scales, weight.zero_points.half()
    if kind == "gemm":
        scales, zeros = scales.t().contiguous(), zeros.t().contiguous()
    layer = layers[kind].from_linear(linear, 4, group_size, scales=scales, zeros=zeros).to(device)
    x = torch.randn(*rows, K, device=device).half()
    out = layer(x).detach()
    assert out.shape == (*rows, N)
    exact = packing.dequantize(weight, torch.float64)
    assert linear.bias is not None
    expected = (x.double() @ exact.T + linear.bias.double()).detach()
    # One rounding of the product, one of the sum with the bias; a weight of layout v2 has an offset that was rounded
    # (2^-11 of scale * zero point), and from 1024 rows on AutoAWQ multiplies by weights rounded to float16.
    size = x.double().abs() @ (weight.scales.double().repeat_interleave(group_size, 1) * 15 + exact.abs()).T
    assert_close(out, expected, relative=2.0**-10, absolute=size * 2.0**-11 + 2.0**-10 * expected.abs().max())
    print(f"{kind}, group size {group_size}, {rows} rows: {float((out - expected).norm() / expected.norm()):.2e}")


def gemm_weight(layers: Any, device: torch.device) -> tuple[Any, packing.QuantizedWeight]:
    linear, weight = quantized(128, device)
    scales, zeros = weight.scales.t().contiguous(), weight.zero_points.half().t().contiguous()
    return layers["gemm"].from_linear(linear, 4, 128, scales=scales, zeros=zeros).to(device), weight


def test_weights_are_repacked_once_and_forgotten_with_their_tensor(
    compat: Any, layers: Any, device: torch.device
) -> None:
    layer, weight = gemm_weight(layers, device)
    tensors = layer.qweight, layer.scales, layer.qzeros
    packed = compat.repacked(*tensors)
    assert compat.repacked(*tensors) is packed
    assert torch.equal(packing.dequantize(packed), packing.dequantize(weight)), "the same numbers"
    layer.qweight[0, 0] += 1  # written to: another weight
    changed = compat.repacked(*tensors)
    assert changed is not packed and compat.repacked(*tensors) is changed
    layer.scales.mul_(2)
    assert compat.repacked(*tensors) is not changed
    assert len(compat._kept) == 1
    del layer, tensors
    assert not compat._kept


def test_dequantized_weights(compat: Any, layers: Any, device: torch.device) -> None:
    import awq_ext

    layer, weight = gemm_weight(layers, device)
    out = awq_ext.dequantize_weights_cuda(layer.qweight, layer.scales, layer.qzeros, 0, 0, 0, False)
    assert torch.equal(out, packing.dequantize(weight, torch.float16).t())


def test_five_arguments_of_old_copies(
    compat: Any, layers: Any, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`install` adds them to awq_inference_engine.gemm_forward_cuda, whose own six stay."""
    module = compat.engine()
    monkeypatch.setattr(module, "gemm_forward_cuda", module.gemm_forward_cuda)  # restored after the test
    compat.install()
    installed = module.gemm_forward_cuda
    compat.install()
    assert module.gemm_forward_cuda is installed
    layer, weight = gemm_weight(layers, device)
    x = torch.randn(5, K, device=device).half()
    five = module.gemm_forward_cuda(x, layer.qweight, layer.scales, layer.qzeros, 8)
    v1 = packing.pack_v1(weight)
    six = module.gemm_forward_cuda(x, v1.kernel, v1.scaling_factors, v1.zeros, 128, 8)
    assert torch.equal(five, six)


def test_norm(compat: Any, device: torch.device) -> None:
    import awq_ext

    x, gamma = torch.randn(2, 3, 64, device=device).half(), torch.randn(64, device=device).half()
    out = torch.empty_like(x)
    awq_ext.layernorm_forward_cuda(x, gamma, out, 1e-6)
    expected = nn.functional.rms_norm(x.double(), (64,), gamma.double(), 1e-6)
    assert_close(out, expected, relative=2.0**-10, absolute=2.0**-20)


@pytest.mark.skipif("COMPAT_WHEEL" not in os.environ, reason="Bazel builds the wheel")
def test_wheel() -> None:
    with zipfile.ZipFile(os.environ["COMPAT_WHEEL"]) as archive:
        names = archive.namelist()
        [metadata] = [email.message_from_bytes(archive.read(name)) for name in names if name.endswith("METADATA")]
        assert {name for name in names if "/" not in name} == {"awq_ext.py", "awq_kernels_compat.py", "awq_v2_ext.py"}
    own = re.search(r'^    version = "([\d.]+)"', pathlib.Path(os.environ["MODULE"]).read_text(), re.MULTILINE)
    assert own and (metadata["Name"], metadata["Version"]) == ("awq-kernels-compat", own[1])
    assert metadata.get_all("Requires-Dist") == ["awq-kernels"]


def test_what_does_not_fit_is_named(compat: Any) -> None:
    import awq_ext
    import awq_v2_ext

    def tensors(k: int, n: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        words = torch.zeros(k, n // 8, dtype=torch.int32), torch.zeros(groups, n // 8, dtype=torch.int32)
        return words[0], torch.ones(groups, n, dtype=torch.float16), words[1]

    qweight, scales, qzeros = tensors(256, 64, 2)
    with pytest.raises(TypeError, match="gemm: qweight must be a torch.Tensor, got NoneType"):
        compat.repacked(None, scales, qzeros)
    with pytest.raises(ValueError, match="gemm: qweight must be int32, got float16"):
        compat.repacked(scales, scales, qzeros)
    with pytest.raises(ValueError, match=r"gemm: scales must have shape \[2, 64\], got \[2, 32\]"):
        compat.repacked(qweight, scales[:, :32], qzeros)
    with pytest.raises(ValueError, match="scales must have K / G rows with K = 256, got 3"):
        compat.repacked(qweight, torch.ones(3, 64).half(), qzeros)
    with pytest.raises(ValueError, match="found group size 16, expected 32, 64, 128 or a multiple"):
        compat.repacked(*tensors(256, 64, 16))
    for module in (awq_ext, awq_v2_ext):
        with pytest.raises(AttributeError, match=f"{module.__name__}: awq-kernels-compat has no topk_softmax"):
            _ = module.topk_softmax


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

"""The layer W4A16Linear: what it computes, and that it is a module like others (states, copies, compilation)."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import awq_kernels as awq
from awq_kernels.nn import W4A16Linear
from testing.numeric import assert_close, assert_rounded, assert_same_bits

DTYPES = [torch.float16, torch.bfloat16]
needs_operators = pytest.mark.skipif(not hasattr(torch.library, "custom_op"), reason="PyTorch before 2.4")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


def random_layer(
    n: int = 24,
    k: int = 256,
    group_size: int = 128,
    dtype: torch.dtype = torch.float16,
    bias: bool = True,
    device: torch.device | str = "cpu",
) -> W4A16Linear:
    linear = nn.Linear(k, n, bias=bias).to(dtype)
    return W4A16Linear.from_linear(linear, group_size).to(device)


def exact(layer: W4A16Linear, x: Tensor) -> Tensor:
    return x.double() @ awq.dequantize(layer.packed, torch.float64).T


def slack(layer: W4A16Linear, x: Tensor) -> Tensor:
    """What a product may differ by before it is rounded: float32 sums, and on a GPU one rounding of each weight."""
    weight = awq.dequantize(layer.packed, torch.float64)
    sums = layer.in_features * 2.0**-24 * (x.double().abs() @ weight.abs().T)
    if not x.is_cuda:
        return sums
    # K independent errors of at most u |x w|; 4 u is more than six standard deviations of their sum.
    unit = torch.finfo(x.dtype).eps / 2
    return sums + 4 * unit * (x.double().square() @ weight.square().T).sqrt()


def inputs(layer: W4A16Linear, *leading: int) -> Tensor:
    return torch.randn(*leading, layer.in_features).to(layer.scales.dtype).to(layer.scales.device)


# ---- the product -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("leading", [(), (1,), (0,), (7,), (8,), (2, 0, 3), (2, 3, 5), (130,)])
def test_any_leading_dimensions(leading: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    layer = random_layer(dtype=dtype, device=device)
    x = inputs(layer, *leading)
    y = layer(x)
    assert y.shape == (*leading, 24) and y.dtype == dtype and y.device.type == device.type
    assert layer.bias is not None
    # One rounding of the product, one of the sum with the bias.
    product = exact(layer, x)
    rounding = (torch.finfo(dtype).eps / 2) * product.abs() + slack(layer, x)
    total = product + layer.bias.double()
    assert_close(y, total, relative=1.1 * torch.finfo(dtype).eps / 2, absolute=1.1 * rounding + 2.0**-24)


@pytest.mark.parametrize("group_size", [32, 64, 128])
def test_without_bias_there_is_one_rounding(group_size: int, device: torch.device) -> None:
    layer = random_layer(12, 384, group_size, bias=False, device=device)
    x = inputs(layer, 5)
    assert_rounded(layer(x), exact(layer, x), absolute=slack(layer, x))


def test_inputs_need_not_be_contiguous_or_aligned(device: torch.device) -> None:
    layer = random_layer(device=device)
    wide = torch.randn(3, 257, dtype=torch.float16, device=device)
    transposed = torch.randn(256, 9, dtype=torch.float16, device=device).T
    for x in (wide[:, 1:], wide[:1, 1:], transposed):
        assert_same_bits(layer(x), layer(x.clone(memory_format=torch.contiguous_format)))


def test_wrong_inputs_are_named() -> None:
    layer = random_layer()
    with pytest.raises(TypeError, match="of the layer's dtype.*got torch.float32 and torch.float16"):
        layer(torch.zeros(1, 256))
    with pytest.raises(TypeError, match="got torch.float32 and torch.float32"):
        layer.float()(torch.zeros(1, 256))
    with pytest.raises(ValueError, match=r"x must be \[..., 256\], got \[2, 255\]"):
        random_layer()(torch.zeros(2, 255, dtype=torch.float16))


def test_autocast_casts_the_input(device: torch.device) -> None:
    layer = random_layer(dtype=torch.bfloat16, device=device)
    x = torch.randn(3, 256, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        y = layer(x)
    assert_same_bits(y, layer(x.bfloat16()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_features": 100}, "K must be a positive multiple of group_size 128, got K = 100"),
        ({"in_features": 96, "group_size": 32}, "K must be a multiple of 64, got K = 96"),
        ({"out_features": 6}, "N must be a multiple of 4, got N = 6"),
        ({"group_size": 48}, "group_size must be one of 32, 64, 128, got 48"),
        ({"dtype": torch.float32}, "dtype must be float16 or bfloat16, got float32"),
    ],
)
def test_wrong_sizes_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        W4A16Linear(**{"in_features": 128, "out_features": 8, **arguments})


def test_wrong_tensors_are_named() -> None:
    packed = random_layer().packed
    with pytest.raises(TypeError, match="packed must be a PackedV2, got QuantizedWeight"):
        W4A16Linear.from_packed(awq.unpack_v2(packed))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"bias must have shape \[24\], got \[23\]"):
        W4A16Linear.from_packed(packed, torch.zeros(23))
    with pytest.raises(ValueError, match="scales must have shape"):
        W4A16Linear.from_packed(awq.PackedV2(packed.kernel, packed.scales[:3], packed.zeros, 128))


# ---- parts for tensor parallelism ------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("dim", [0, 1])
def test_parts_are_rows_or_columns_of_the_weight(dim: int, world: int, group_size: int) -> None:
    layer = random_layer(24, 1152 if group_size == 64 else 768, group_size)
    parts = [layer.shard(dim, rank, world) for rank in range(world)]
    weights = [awq.dequantize(part.packed) for part in parts]
    assert torch.equal(torch.cat(weights, dim), awq.dequantize(layer.packed))
    x = inputs(layer, 5)
    if dim == 0:
        assert_same_bits(torch.cat([part(x) for part in parts], -1), layer(x))
    else:
        assert [part.bias is not None for part in parts] == [True] + [False] * (world - 1)
        slices = x.chunk(world, -1)
        total = sum(part(piece.contiguous()).double() for part, piece in zip(parts, slices))
        assert_close(total, layer(x).double(), absolute=(world + 3) * 2.0**-11 * 4)


def test_parts_share_no_memory_with_the_whole() -> None:
    layer = random_layer()
    part = layer.shard(0, 0, 1)
    part.kernel.zero_()
    assert part.bias is not None and layer.bias is not None
    part.bias.zero_()
    assert bool(layer.kernel.any()) and bool(layer.bias.any())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 0, 5), ValueError, "N / world must be a multiple of 4, got N = 24 and world = 5"),
        ((0, 0, 4), ValueError, "N / world must be a multiple of 4, got N = 24 and world = 4"),
        ((1, 0, 4), ValueError, r"K / world must be a multiple of 128, got K = 256 and world = 4 \(group_size 128"),
        ((2, 0, 2), ValueError, r"dim must be 0 \(N\) or 1 \(K\), got 2"),
        ((0, 2, 2), ValueError, "rank must be in 0..world - 1 and world positive, got rank 2 of 2"),
        ((0, -1, 2), ValueError, "got rank -1 of 2"),
        ((0, 0, 0), ValueError, "got rank 0 of 0"),
        ((0, 0, 2.0), TypeError, "world must be an int, got float"),
    ],
)
def test_cuts_that_no_kernel_can_take_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        random_layer().shard(*arguments)


# ---- a module like others --------------------------------------------------------------------------------------------


def saved_and_loaded(value: Any, **how: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **how)


def test_state_dict_round_trip(device: torch.device) -> None:
    layer = random_layer(device=device)
    other = W4A16Linear(256, 24, device=device)
    other.load_state_dict(saved_and_loaded(layer.state_dict(), weights_only=True))
    x = inputs(layer, 3)
    assert_same_bits(other(x), layer(x))
    assert list(layer.state_dict()) == ["kernel", "scales", "zeros", "bias"]
    with pytest.raises(RuntimeError, match="size mismatch for scales"):
        W4A16Linear(256, 24, group_size=64).load_state_dict(layer.state_dict())


def test_copies_are_independent(device: torch.device) -> None:
    layer = random_layer(device=device)
    x = inputs(layer, 3)
    before = layer(x)
    duplicate = copy.deepcopy(layer)
    assert_same_bits(duplicate(x), before)
    duplicate.kernel.zero_()
    assert_same_bits(layer(x), before)


def test_casts_leave_the_codes_alone() -> None:
    layer = random_layer()
    cast = copy.deepcopy(layer).to(torch.bfloat16)
    assert torch.equal(cast.kernel, layer.kernel)
    assert cast.scales.dtype == cast.zeros.dtype == torch.bfloat16
    assert cast.bias is not None and cast.bias.dtype == torch.bfloat16
    assert cast(torch.ones(1, 256, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert "group_size=128, dtype=bfloat16" in repr(cast)


def test_meta_device_and_assignment() -> None:
    layer = random_layer()
    with torch.device("meta"):
        empty = W4A16Linear(256, 24)
    assert all(buffer.is_meta for buffer in empty.buffers())
    empty.load_state_dict(layer.state_dict(), assign=True)
    x = inputs(layer, 3)
    assert_same_bits(empty(x), layer(x))
    assert torch.count_nonzero(W4A16Linear(256, 24).to("meta").to_empty(device="cpu").kernel) >= 0


@needs_operators
def test_shapes_on_the_meta_device() -> None:
    layer = random_layer().to("meta")
    y = layer(torch.empty(2, 5, 256, dtype=torch.float16, device="meta"))
    assert y.is_meta and y.shape == (2, 5, 24)


def test_inference_mode(device: torch.device) -> None:
    layer = random_layer(device=device)
    x = inputs(layer, 3)
    expected = layer(x)
    with torch.inference_mode():
        assert_same_bits(layer(x), expected)


@needs_operators
def test_a_gradient_is_refused_not_lost() -> None:
    x = torch.randn(2, 256, dtype=torch.float16, requires_grad=True)
    with pytest.raises((RuntimeError, NotImplementedError), match="w4a16_linear|does not require grad"):
        random_layer()(x).sum().backward()


class Block(nn.Module):
    """Two layers with something between them."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.first, self.second = random_layer(128, 256, device=device), random_layer(64, 128, 64, device=device)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.nn.functional.silu(self.first(x)))


@needs_operators
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_without_a_graph_break(dynamic: bool, device: torch.device) -> None:
    torch._dynamo.reset()
    block = Block(device)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for rows in (2, 3, 40):
        x = inputs(block.first, rows)
        assert_same_bits(compiled(x), block(x))


@needs_operators
def test_the_operator_passes_pytorch_s_checks(device: torch.device) -> None:
    layer = random_layer(device=device)
    arguments = inputs(layer, 3), layer.kernel, layer.scales, layer.zeros
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(torch.ops.awq.w4a16_linear.default, arguments, test_utils=checks)


@pytest.mark.gpu
@pytest.mark.parametrize("rows", [1, 8, 200])
def test_replayed_in_a_cuda_graph(rows: int) -> None:
    block = Block("cuda")
    x = inputs(block.first, rows)
    block(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = block(x)
    for _ in range(3):
        x.copy_(inputs(block.first, rows))
        graph.replay()
        assert_same_bits(y, block(x))


# ---- weights in files ------------------------------------------------------------------------------------------------

PACKINGS: list[Callable[[awq.QuantizedWeight], Any]] = [lambda weight: weight, awq.pack_v1, awq.pack_v2]


@pytest.mark.skipif(not hasattr(torch.serialization, "add_safe_globals"), reason="PyTorch before 2.4")
@pytest.mark.parametrize("pack", PACKINGS, ids=["QuantizedWeight", "PackedV1", "PackedV2"])
def test_packed_weights_load_with_weights_only(pack: Callable[[awq.QuantizedWeight], Any]) -> None:
    packed = pack(awq.quantize(torch.randn(8, 256)))
    loaded = saved_and_loaded({"layer": packed}, weights_only=True)["layer"]
    assert type(loaded) is type(packed) and vars(loaded).keys() == vars(packed).keys()
    for name, value in vars(packed).items():
        assert torch.equal(torch.as_tensor(vars(loaded)[name]), torch.as_tensor(value)), name
    # Equality is identity, never the truth value of a tensor.
    assert packed == packed and packed != loaded and len({packed, loaded}) == 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))

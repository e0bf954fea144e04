"""A linear layer over 4-bit weights, as a `torch.nn.Module`.

On a CUDA device the layer calls `gemm_forward_cuda_new` of the compiled module `awq_inference_engine`, which chooses
its kernel by the number of rows, from one to any. On the CPU it computes by `awq_kernels.reference`, slowly. Both stand
behind one operator, `torch.ops.awq.w4a16_linear`, so `torch.compile` and `torch.export` trace the layer without a graph
break (PyTorch 2.4 and newer). There is no gradient: the layer is for inference.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from awq_kernels import packing, reference
from awq_kernels._files import progress_bar
from awq_kernels.checkpoint import Checkpoint
from awq_kernels.packing import PackedV2

__all__ = ["W4A16Linear", "replace_linears"]

_DTYPES = (torch.float16, torch.bfloat16)
_ALIGNMENT = 16  # bytes; the kernels read activations in words of this size


@functools.cache
def _gemm() -> Callable[..., Tensor]:
    try:
        engine = importlib.import_module("awq_inference_engine")
        function: Callable[..., Tensor] = engine.gemm_forward_cuda_new
    except (ImportError, AttributeError) as error:  # a folder of that name imports as an empty package
        raise ImportError(
            "W4A16Linear on a CUDA device needs the compiled module awq_inference_engine, which could not be imported: "
            f"{error}. Build //:awq_inference_engine and put its folder on PYTHONPATH, or install the wheel."
        ) from error
    return function


def _linear(x: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    if not x.is_cuda:
        with torch.autocast(x.device.type, enabled=False):  # it would round what the reference keeps in float32
            return reference.gemm_forward_cuda_new(x, kernel, scales, zeros)
    x = x.contiguous()
    if x.data_ptr() % _ALIGNMENT != 0:
        x = x.clone()
    return _gemm()(x, kernel, scales, zeros)


_HAS_OPERATORS = hasattr(torch.library, "custom_op")  # from PyTorch 2.4 on

if _HAS_OPERATORS:
    _operator = torch.library.custom_op("awq::w4a16_linear", _linear, mutates_args=())

    @_operator.register_fake
    def _(x: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        return x.new_empty((*x.shape[:-1], kernel.shape[0] * packing.ROW_INTERLEAVE))


def _product(x: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    # The operator's dispatch takes 3 to 6 us, and only tracing and subclasses of Tensor (fake ones, say) need it.
    traced = type(x) is not Tensor or x.is_meta or x.requires_grad or torch.compiler.is_compiling()
    if traced and _HAS_OPERATORS:
        out: Tensor = torch.ops.awq.w4a16_linear(x, kernel, scales, zeros)
        return out
    return _linear(x, kernel, scales, zeros)


def _autocasts(device: str) -> bool:
    return torch.is_autocast_enabled(device) if _HAS_OPERATORS else torch.is_autocast_enabled()


class W4A16Linear(nn.Module):
    """`y = x @ w.T + bias` with `w` [N, K] in 4 bits, `x` [..., K] and `y` [..., N] in float16 or bfloat16.

    The weight is kept in layout v2 (`awq_kernels.packing.PackedV2`) in three buffers, `kernel`, `scales` and `zeros`;
    `bias` is a fourth, or None. Casting the layer to float16 or bfloat16 casts the scales, the offsets and the bias,
    each with one rounding. Sums are float32; the result is rounded, then the bias is added in its dtype.

    A new layer holds zeros; `from_packed`, `from_linear` or `load_state_dict` fill it.

    Args:
        in_features: K, a multiple of 64 and of `group_size`.
        out_features: N, a multiple of 4.
        bias: whether there is a bias.
        group_size: values along K that share a scale: 32, 64 or 128.
        dtype: of scales, bias, input and result: float16 or bfloat16.
        device: where the buffers are made.

    Raises:
        ValueError: a size, the group size or the dtype is not as above.
    """

    kernel: Tensor
    scales: Tensor
    zeros: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        group_size: int = 128,
        dtype: torch.dtype = torch.float16,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        packing._require_group_size("W4A16Linear", group_size, packing.GROUP_SIZES_V2, in_features)
        packing._require_interleavable("W4A16Linear", out_features, in_features)
        if dtype not in _DTYPES:
            raise ValueError(f"W4A16Linear: dtype must be float16 or bfloat16, got {packing._name(dtype)}")
        self.in_features, self.out_features, self.group_size = in_features, out_features, group_size
        groups = packing.padded_groups(in_features, group_size)
        rows = out_features // packing.ROW_INTERLEAVE
        self.register_buffer("kernel", torch.zeros(rows, in_features, dtype=torch.int16, device=device))
        self.register_buffer("scales", torch.zeros(groups, out_features, dtype=dtype, device=device))
        self.register_buffer("zeros", torch.zeros(groups, out_features, dtype=dtype, device=device))
        self.register_buffer("bias", torch.zeros(out_features, dtype=dtype, device=device) if bias else None)

    @classmethod
    def from_packed(cls, packed: PackedV2, bias: Tensor | None = None) -> W4A16Linear:
        """A layer that holds these very tensors; a bias of another dtype is cast to the scales'.

        Raises:
            TypeError: `packed` is no PackedV2.
            ValueError: the tensors do not fit together.
        """
        if not isinstance(packed, PackedV2):
            raise TypeError(f"W4A16Linear: packed must be a PackedV2, got {type(packed).__name__}")
        n, k = packing._check_v2("W4A16Linear", packed)
        if bias is not None:
            packing._require_tensor("W4A16Linear", "bias", bias, 1, shape=(n,))
        layer = cls(k, n, bias is not None, packed.group_size, packed.scales.dtype, torch.device("meta"))
        layer.kernel, layer.scales, layer.zeros = packed.kernel, packed.scales, packed.zeros
        layer.bias = None if bias is None else bias.detach().to(packed.scales.device, packed.scales.dtype)
        return layer

    @classmethod
    def from_linear(cls, linear: nn.Linear, group_size: int = 128, dtype: torch.dtype | None = None) -> W4A16Linear:
        """A layer with the weight of `linear` quantized by the minimum and maximum of each group.

        Args:
            linear: its weight is finite, its sizes fit as above.
            group_size: 32, 64 or 128.
            dtype: of the scales; the weight's own if that is float16 or bfloat16, else float16.

        Raises:
            ValueError: as `awq_kernels.packing.quantize` and `pack_v2`.
        """
        packed = packing.pack_v2(packing.quantize(linear.weight, group_size, dtype))
        return cls.from_packed(packed, linear.bias)

    @property
    def packed(self) -> PackedV2:
        """The weight as the kernels take it; the buffers themselves, not copies."""
        return PackedV2(self.kernel, self.scales, self.zeros, self.group_size)

    def shard(self, dim: int, rank: int, world: int) -> W4A16Linear:
        """One of `world` equal parts of the layer, in new buffers; see `awq_kernels.packing.shard`.

        Args:
            dim: 0 cuts output channels and the bias with them; 1 cuts input channels, and the bias stays with rank 0,
                so that the sum of all parts' results holds it once.
            rank: which part, 0 to `world - 1`.
            world: the number of parts.

        Raises:
            TypeError: an argument is of the wrong Python type.
            ValueError: `dim` or `rank` is out of range, or a cut would go through a quad of rows, a step of 64 along K
                or a group.
        """
        packed = packing.shard(self.packed, dim, rank, world)
        if self.bias is None or (dim == 1 and rank != 0):
            return self.from_packed(packed)
        return self.from_packed(packed, (self.bias if dim == 1 else self.bias.chunk(world)[rank]).clone())

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., K]` -> `[..., N]`.

        Under autocast `x` is cast to the layer's dtype. Otherwise another dtype is an error, as with `nn.Linear`.

        Raises:
            TypeError: `x` and the layer differ in dtype, or it is neither float16 nor bfloat16.
            ValueError: the last dimension of `x` is not K.
            ImportError: `x` is on a CUDA device and there is no compiled module.
        """
        dtype = self.scales.dtype
        if x.dtype != dtype and _autocasts(x.device.type):
            x = x.to(dtype)
        if x.dtype != dtype or dtype not in _DTYPES:
            raise TypeError(
                f"W4A16Linear: x must be of the layer's dtype, and that float16 or bfloat16; got {x.dtype} and {dtype}"
            )
        if x.shape[-1] != self.in_features:
            raise ValueError(f"W4A16Linear: x must be [..., {self.in_features}], got {list(x.shape)}")
        out = _product(x, self.kernel, self.scales, self.zeros)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Sizes, as `nn.Linear` prints them."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"group_size={self.group_size}, dtype={packing._name(self.scales.dtype)}"
        )


@torch.no_grad()
def replace_linears(
    model: nn.Module,
    checkpoint: Checkpoint,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    progress: bool | None = None,
) -> list[str]:
    """Puts a W4A16Linear in the place of each linear layer that a checkpoint has in 4 bits.

    The rest of the model stays as it is. The model may be on the meta device; its linear layers are never read.

    Args:
        model: its modules have the names that the checkpoint has.
        checkpoint: what `awq_kernels.checkpoint.open` returns.
        device: of the new layers; by default where the old one was, and the CPU for the meta device.
        dtype: of the new layers, float16 or bfloat16; the checkpoint's by default.
        progress: whether to draw a bar on stderr; by default only on a terminal.

    Returns:
        The names of the replaced layers.

    Raises:
        ValueError: the model has no linear layer of a name, or one of another size or with a bias that the checkpoint
            lacks. Nothing has been replaced then.
        CheckpointError: a layer cannot be read.
    """
    modules = dict(model.named_modules())
    devices = {}
    for name, linear in checkpoint.linears.items():
        module = modules.get(name)
        if not isinstance(module, nn.Linear):
            found = "no such module" if module is None else type(module).__name__
            raise ValueError(f"replace_linears: {name}: found {found} in the model, expected an nn.Linear")
        if (module.out_features, module.in_features) != (linear.n, linear.k):
            raise ValueError(
                f"replace_linears: {name}: found [{module.out_features}, {module.in_features}] in the model, "
                f"expected [{linear.n}, {linear.k}] as in the file"
            )
        if module.bias is not None and not linear.has_bias:
            raise ValueError(f"replace_linears: {name}: found a bias in the model, expected none as in the file")
        old = "cpu" if module.weight.is_meta else module.weight.device
        devices[name] = torch.device(old if device is None else device)
    sizes = checkpoint.sizes()
    with progress_bar("reading", sum(sizes[name] for name in devices), progress) as advance:
        for name, where in devices.items():
            packed = checkpoint.linear(name, where, dtype)
            bias = checkpoint.tensor(f"{name}.bias", where) if checkpoint.linears[name].has_bias else None
            parent, _, last = name.rpartition(".")
            setattr(modules[parent], last, W4A16Linear.from_packed(packed, bias))
            advance(sizes[name])
    return list(devices)

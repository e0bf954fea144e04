"""A linear layer with 4-bit weights: on a GPU by the kernels, on a CPU by their reference."""

import torch  # before the module, which needs its libraries

from awq_kernels import packing, reference

import awq_inference_engine  # isort: skip


class QuantizedLinear:
    """Holds a weight [N, K] in 4 bits."""

    def __init__(self, weight: torch.Tensor, group_size: int = 128) -> None:
        self._packed = packing.pack_v2(packing.quantize(weight, group_size))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Returns x [M, K] times the weight's transpose."""
        packed = self._packed
        engine = awq_inference_engine if x.is_cuda else reference
        return engine.gemm_forward_cuda_new(x, packed.kernel, packed.scales, packed.zeros)

    def nbytes(self) -> int:
        """Returns the size of what is stored."""
        return sum(t.numel() * t.element_size() for t in (self._packed.kernel, self._packed.scales, self._packed.zeros))

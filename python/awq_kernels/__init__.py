"""Plain Python beside the compiled modules `awq_inference_engine` and `ft_attention`.

`awq_kernels.packing` turns weights into the tensors that the kernels read (its names are also importable from here),
`awq_kernels.reference` states in PyTorch what each function computes, and importing `awq_kernels.ops` registers them
as `torch.ops.awq.*`, so that `torch.compile` can trace through them. `awq_kernels.nn` has a linear layer,
`awq_kernels.checkpoint` reads checkpoints of others, and `awq_kernels.transformers` loads them as models.
"""

from awq_kernels.packing import (
    PackedV1,
    PackedV2,
    QuantizedWeight,
    dequantize,
    pack_v1,
    pack_v2,
    padded_groups,
    quantize,
    shard,
    unpack_v1,
    unpack_v2,
    v1_to_v2,
)

__all__ = [
    "PackedV1",
    "PackedV2",
    "QuantizedWeight",
    "dequantize",
    "pack_v1",
    "pack_v2",
    "padded_groups",
    "quantize",
    "shard",
    "unpack_v1",
    "unpack_v2",
    "v1_to_v2",
]

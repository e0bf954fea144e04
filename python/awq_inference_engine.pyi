from torch import Tensor

def gemv_forward_cuda_new(
    in_feats: Tensor,
    kernel: Tensor,
    scaling_factors: Tensor,
    zeros: Tensor,
    m: int,
    n: int,
    k: int,
    group_size: int,
) -> Tensor: ...
def gemm_forward_cuda_new(in_feats: Tensor, kernel: Tensor, scales: Tensor, zeros: Tensor) -> Tensor: ...
def gemv_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int
) -> Tensor: ...
def gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, scaling_factors: Tensor, zeros: Tensor, group_size: int, split_k_iters: int
) -> Tensor: ...
def layernorm_forward_cuda(input: Tensor, gamma: Tensor, out: Tensor, eps: float) -> None: ...
def rotary_embedding_neox(
    positions: Tensor, query: Tensor, key: Tensor, head_size: int, cos_sin_cache: Tensor
) -> None: ...
def fused_rope_with_pos_forward_func(input: Tensor, freqs: Tensor, transpose_output_memory: bool) -> Tensor: ...
def w8a8_gemm_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor
) -> None: ...
def w8a8_gemm_fuse_bias_forward_cuda(
    in_feats: Tensor, kernel: Tensor, wscales: Tensor, ascales: Tensor, out_feats: Tensor, bias: Tensor
) -> None: ...
def invoke_quant(out: Tensor, input: Tensor, scale: Tensor) -> None: ...
def rms_norm_general(
    out: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    scaling: Tensor,
    epsilon: float,
    use_per_token_quant: bool = True,
) -> None: ...
def silu_and_mul(input: Tensor) -> Tensor: ...
def gelu_and_quant(out: Tensor, input: Tensor, scale_out: Tensor, tmp: Tensor) -> None: ...
def single_query_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    length_per_sample_: Tensor | None,
    alibi_slopes_: Tensor | None,
    timestep: int,
    rotary_embedding_dim: int = 0,
    rotary_base: float = 10000.0,
    rotary_scale: float = 1.0,
    neox_rotary_style: bool = True,
) -> Tensor: ...

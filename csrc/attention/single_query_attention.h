// Decode attention: one new token per sequence against a circular key-value cache. Host interface, no PyTorch.
//
// For sequence b at position t = lengths[b] (or `timestep`), key-value head g and every query head h of its group:
//
//   q, k       = rotate(q[b, h], t), rotate(k[b, g], t)          only if rotary_dim > 0
//   slot t % L of the caches of (b, g) receives k (rounded to the element type) and v[b, g]
//   logit[p]   = dot(q, k_cache[p % L]) / sqrt(D) + alibi_slopes[h] * (p - t)     p = max(0, t + 1 - L) .. t
//   out[b, h]  = sum_p softmax(logit)[p] * v_cache[p % L]
//
// Sums and softmax are fp32. The pair i of a head turns by t * rotary_scale / rotary_base^(2i / rotary_dim); NeoX style
// pairs element i with i + rotary_dim / 2, the other style 2i with 2i + 1; elements past rotary_dim stay as they are.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

// All tensors are device memory owned by the caller and hold `dtype` unless said otherwise. With 16-byte vectors of
// x elements (x = 8 for 16-bit types, 4 for fp32) the caches look like this:
//
//   v_cache [B, Hk, L, D]        one position after the other
//   k_cache [B, Hk, D/x, L, x]   position p of a head is D/x vectors, L vectors apart; neighbouring positions touch
struct SingleQueryAttentionParams {
  void* out;      // [B, H, D], contiguous
  const void* q;  // [B, H, D], unit stride in D, stride D between heads; likewise k and v
  const void* k;  // [B, Hk, D]
  const void* v;  // [B, Hk, D]
  void* k_cache;  // [B, Hk, D/x, L, x], contiguous, 16-byte aligned; slot t % L of each row is written
  void* v_cache;  // [B, Hk, L, D], contiguous, 16-byte aligned; slot t % L of each row is written

  const int32_t* lengths;     // [B], position t of each sequence, or nullptr: all are at `timestep`
  const float* alibi_slopes;  // [H], or nullptr: no position bias

  int64_t q_batch_stride_elems;  // from sequence b to b + 1; any value, no alignment needed
  int64_t k_batch_stride_elems;
  int64_t v_batch_stride_elems;

  int batch;      // B, may be 0
  int heads;      // H, a multiple of Hk
  int kv_heads;   // Hk; query head h reads key-value head h / (H / Hk)
  int head_dim;   // D: 32, 48, 64, 80, 96, 112, 128, 160, 192, 224 or 256
  int cache_len;  // L >= 1

  // Position of every sequence. With `lengths` it only sizes the launch and should be their upper bound: a smaller
  // value costs speed, never correctness. A row whose length is negative attends to nothing and returns zeros.
  int timestep;

  DType dtype;  // kFloat16, kBFloat16 or kFloat32

  int rotary_dim;      // even, 0 .. D; 0: no rotation
  double rotary_base;  // > 0. Double, as Python has them: an fp32 scale is off by 2^-25, at t = 2^20 by 0.03 rad
  double rotary_scale;
  bool neox_rotary_style;
};

// Device scratch `single_query_attention` needs for `params` on the current device; 0 when sequences are not split.
// Depends on sizes and `timestep`, on no pointer. The content does not matter.
size_t single_query_attention_workspace_bytes(const SingleQueryAttentionParams& params);

// Enqueues the operation on `stream` of the current device. `workspace`: 16-byte aligned, of at least the bytes the
// function above gives for the same `params`, untouched by others until the work is done; may be nullptr for 0 bytes.
// Returns cudaErrorInvalidValue for sizes, types or alignments other than those above, else the launch's own error.
// B = 0 launches nothing. Never synchronizes or allocates; the same input gives the same bits.
cudaError_t single_query_attention(const SingleQueryAttentionParams& params, void* workspace, cudaStream_t stream);

}  // namespace awq

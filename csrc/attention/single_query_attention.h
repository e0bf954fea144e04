// Decode attention: one new token per sequence against a circular key-value cache. Host interface, no PyTorch.
//
// For sequence b at position t = lengths[b] (or `timestep`), key-value head g and every query head h of its group:
//
//   q, k       = rotate(q[b, h], t), rotate(k[b, g], t)          only if rotary_dim > 0
//   slot t % L of the caches of (b, g) receives k (rounded to the element type) and v[b, g]
//   logit[p]   = dot(q, k_cache[p % L]) / sqrt(D) + alibi_slopes[h] * (p - t)     p = max(0, t + 1 - L) .. t
//   out[b, h]  = sum_p softmax(logit)[p] * v_cache[p % L]
//
// Sums and softmax are fp32. The pair i of a head turns by t * rotary_scale / rotary_base^(2i / rotary_dim). NeoX style
// pairs element i with i + rotary_dim / 2. The other style pairs 2i with 2i + 1. Elements past rotary_dim do not
// change.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

// The head dims that have kernels.
#define AWQ_HEAD_DIMS 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256
inline constexpr int kHeadDims[] = {AWQ_HEAD_DIMS};

// All tensors are device memory owned by the caller. Their elements are `dtype` unless stated otherwise. A vector has
// 16 bytes, x elements (x = 8 for 16-bit types, 4 for fp32). The layouts of the caches are:
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
  int head_dim;   // D, one of AWQ_HEAD_DIMS
  int cache_len;  // L >= 1

  // Position of every sequence. With `lengths` it only sizes the launch and should be their upper bound. A smaller
  // value costs speed, never correctness. A row with a negative length attends to nothing and returns zeros.
  int timestep;

  DType dtype;  // kFloat16, kBFloat16 or kFloat32

  int rotary_dim;      // even, 0 .. D; 0: no rotation
  double rotary_base;  // > 0. Double, as Python has them: an fp32 scale is off by 2^-25, at t = 2^20 by 0.03 rad
  double rotary_scale;
  bool neox_rotary_style;
};

// The plan of a call: the division of its work. It is valid for the sizes, the type and the device that it was made
// for, with any pointers.
struct SingleQueryAttentionPlan {
  int splits;              // maximum number of pieces of a sequence; 0 for no sequence
  bool clustered;          // the blocks of a sequence's pieces may form a cluster
  bool exclusive;          // each block has a multiprocessor alone
  size_t workspace_bytes;  // scratch memory; 0 if sequences are not split
};

// Makes the plan for the current device. Looks at no pointer. Returns cudaErrorInvalidValue for sizes and types other
// than those above.
cudaError_t plan_single_query_attention(const SingleQueryAttentionParams& params, SingleQueryAttentionPlan* plan);

// Enqueues the operation on `stream` of the current device. Never synchronizes or allocates. The same input gives the
// same bits. B = 0 launches nothing.
//   plan       made for these parameters
//   workspace  16-byte aligned, of plan.workspace_bytes bytes, with any content; may be nullptr for 0 bytes. Nothing
//              else may use it until the work is done
//   errors     cudaErrorInvalidValue for alignments other than those above or a missing workspace. Otherwise the
//              launch's own error
cudaError_t launch_single_query_attention(const SingleQueryAttentionParams& params,
                                          const SingleQueryAttentionPlan& plan, void* workspace, cudaStream_t stream);

}  // namespace awq

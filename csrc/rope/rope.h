// Rotary position embedding: from a table of cosines and sines in place, and from angles out of place. Host interface,
// no PyTorch.
//
// Both functions:
//   stream   run on the current device and on `stream`, allocate nothing, never synchronize, can be captured in a graph
//   errors   cudaErrorInvalidValue for arguments outside the bounds below. Otherwise the launch's own error
//   zeros    zero tokens, heads or rotated dimensions are legal
//   buffers  the caller owns them. A pointer needs only the alignment of its element. 16-byte alignment of every row is
//            faster. Offsets are 64-bit
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

struct RotaryNeoxParams {
  const int64_t* positions;   // [tokens], in any order
  void* query;                // [tokens, query_heads, head_size] of dtype, rotated in place
  void* key;                  // [tokens, key_heads, head_size] of dtype, rotated in place; unused if key_heads is 0
  const void* cos_sin_cache;  // [max_position, rot_dim] of dtype, contiguous: rot_dim/2 cosines, then as many sines
  int64_t tokens;
  int64_t max_position;
  int64_t query_stride_elems;  // from one token to the next; heads are contiguous within a token
  int64_t key_stride_elems;
  int query_heads;
  int key_heads;
  int head_size;
  int rot_dim;  // even, at most head_size
  DType dtype;  // kFloat16, kBFloat16, kFloat32 or kFloat64
};

// With half = rot_dim / 2, cos and sin from row positions[t] of the table, for each head and i < half:
//
//   x[i], x[i + half] = x[i] * cos[i] - x[i + half] * sin[i],  x[i + half] * cos[i] + x[i] * sin[i]
//
// computed in fp32 (fp64 for kFloat64) and rounded once. Elements from rot_dim on do not change. A position outside the
// table reads nothing. It makes the rotated elements of the token NaN.
cudaError_t launch_rotary_neox(const RotaryNeoxParams& params, cudaStream_t stream);

struct RopeWithPosParams {
  const void* input;   // [s, b, h, d] of dtype with the strides below
  const float* freqs;  // [b * s, d2] angles, contiguous: the row of (s, b) is b * s_len + s
  void* out;           // s * b * h * d elements of dtype; may not overlap input
  int64_t s;
  int64_t b;
  int64_t h;
  int64_t d;               // at most 2^31 - 1
  int64_t d2;              // even, 0 <= d2 <= d
  int64_t stride_s_elems;  // strides of the input, any value
  int64_t stride_b_elems;
  int64_t stride_h_elems;
  int64_t stride_d_elems;
  bool transpose_output_memory;  // out in memory: false [s, b, h, d], true [b, s, h, d]
  DType dtype;                   // kFloat16, kBFloat16 or kFloat32
};

// With half = d2 / 2 and a[i] = freqs[(b * s_len + s) * d2 + i]:
//
//   out[i] = x[i] * cos(a[i]) - x[i + half] * sin(a[i])    for i < half
//   out[i] = x[i] * cos(a[i]) + x[i - half] * sin(a[i])    for half <= i < d2
//   out[i] = x[i]                                          for d2 <= i < d
//
// computed in fp32 with full-range sine and cosine (angles of hundreds of thousands of radians are exact to fp32
// rounding), rounded once.
cudaError_t launch_rope_with_pos(const RopeWithPosParams& params, cudaStream_t stream);

}  // namespace awq

// Symmetric int8 quantization of a row, with a scale from the row's largest magnitude.
#pragma once

#include <cstdint>

#include "csrc/common/ptx.cuh"
#include "csrc/common/vector.cuh"

namespace awq {

constexpr float kInt8Max = 127.0f;

// The scale to store: max / 127.
__device__ __forceinline__ __half row_scale(float max_magnitude) { return __float2half_rn(max_magnitude / kInt8Max); }

// The factor of the quantization: 127 / max. It is 0 in two cases, so that the row is quantized to zeros:
//   - the maximum is NaN or infinite;
//   - the maximum is below kTiny. The quotient would leave fp32's range. The scale is already 0 in fp16 there.
__device__ __forceinline__ float row_factor(float max_magnitude) {
  constexpr float kTiny = 0x1p-120f;
  static_assert(kInt8Max / kTiny < 3.4e38f, "the factor stays finite");
  const bool usable = max_magnitude >= kTiny && max_magnitude < INFINITY;  // false for NaN
  return usable ? kInt8Max / max_magnitude : 0.0f;
}

// Four values rounded to nearest even and clamped to -128..127, the first in the lowest byte. NaN gives 0.
__device__ __forceinline__ uint32_t pack_int8x4(float x0, float x1, float x2, float x3) {
  return ptx::pack_int8x4(__float2int_rn(x0), __float2int_rn(x1), __float2int_rn(x2), __float2int_rn(x3));
}

// The first `count` of x * factor as int8; `whole` as in store_vec.
template <int kCount>
__device__ __forceinline__ void store_int8(int8_t* p, const float (&x)[kCount], float factor, int count, bool whole) {
  static_assert(kCount % 4 == 0, "words of four");
  Vec<int8_t, kCount> q;
#pragma unroll
  for (int w = 0; w < kCount / 4; ++w) {
    q.words[w] = pack_int8x4(x[4 * w] * factor, x[4 * w + 1] * factor, x[4 * w + 2] * factor, x[4 * w + 3] * factor);
  }
  store_vec(p, q, count, whole);
}

}  // namespace awq

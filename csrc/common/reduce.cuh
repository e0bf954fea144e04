// Sums and maxima over the threads that share a row. The order of a sum depends only on the number of threads, so the
// same input gives the same bits on every run. All threads of the team get the result.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace awq {

constexpr int kWarpSize = 32;
constexpr unsigned kFullMask = 0xffffffffu;

// How a team combines two values.
struct Sum {
  static constexpr float kIdentity = 0.0f;
  __device__ static float combine(float a, float b) { return a + b; }
  __device__ static float over_warp(float x) {
#pragma unroll
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(kFullMask, x, distance);
    return x;
  }
};

// The maximum of magnitudes, held as the bits of |x|: as unsigned integers these are ordered as the floats are, and NaN
// lies above infinity. So unlike fmaxf, this keeps a NaN.
struct MaxMagnitude {
  static constexpr unsigned kIdentity = 0;
  __device__ static unsigned bits(float x) { return __float_as_uint(x) & 0x7fffffffu; }
  __device__ static unsigned combine(unsigned a, unsigned b) { return a > b ? a : b; }
  __device__ static unsigned over_warp(unsigned x) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(kFullMask, x);  // one instruction in place of ten
#else
#pragma unroll
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
      x = combine(x, __shfl_xor_sync(kFullMask, x, distance));
    }
    return x;
#endif
  }
};

// One reduction over a team of kThreads: a warp, or a whole block of several. A block needs `slots` (shared memory, one
// per warp) of its own for each reduction between two of its barriers; a warp does not touch them.
template <typename Op, int kThreads, typename Value>
__device__ __forceinline__ Value reduce_over_team(Value x, Value* slots) {
  static_assert(kThreads % kWarpSize == 0 && kThreads <= 1024, "a team is a warp or a block of whole warps");
  constexpr int kWarps = kThreads / kWarpSize;
  x = Op::over_warp(x);
  if constexpr (kWarps > 1) {
    const int lane = threadIdx.x % kWarpSize;
    if (lane == 0) slots[threadIdx.x / kWarpSize] = x;
    __syncthreads();
    // Every warp adds up the slots itself, which saves the second barrier of a broadcast.
    x = Op::over_warp(lane < kWarps ? slots[lane] : Op::kIdentity);
  }
  return x;
}

}  // namespace awq

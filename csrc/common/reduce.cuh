// Sums and maxima over the threads that share a row. The order of a sum depends only on the number of threads, so the
// same input gives the same bits on every run. All threads of the team get the result.
#pragma once

#include <cuda_runtime.h>

#include "csrc/common/gpu.h"
#include "csrc/common/ptx.cuh"

namespace awq {

// The lanes of the caller's team: the whole warp, or 2, 4, 8 or 16 lanes that start at a multiple of their number.
template <int kLanes>
__device__ __forceinline__ unsigned team_mask() {
  constexpr unsigned kMask = static_cast<unsigned>((1ull << kLanes) - 1);
  return kMask << (threadIdx.x % kWarpSize / kLanes * kLanes);
}

// How a team combines two values.
struct Sum {
  __device__ static float combine(float a, float b) { return a + b; }
};

// The maximum of magnitudes, held as the bits of |x|. As unsigned integers these have the order of the floats, with NaN
// above infinity. Unlike fmaxf, this maximum therefore keeps a NaN.
struct MaxMagnitude {
  static constexpr unsigned kIdentity = 0;
  __device__ static unsigned bits(float x) { return __float_as_uint(x) & 0x7fffffffu; }
  __device__ static unsigned combine(unsigned a, unsigned b) { return a > b ? a : b; }
};

// Combines x over kLanes lanes; `mask` names lanes that call this together.
template <typename Op, int kLanes, typename Value>
__device__ __forceinline__ Value reduce_over_lanes(Value x, unsigned mask) {
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    x = Op::combine(x, __shfl_xor_sync(mask, x, distance));
  }
  return x;
}

#if __CUDA_ARCH__ >= 800
// One instruction replaces ten.
template <>
__device__ __forceinline__ unsigned reduce_over_lanes<MaxMagnitude, kWarpSize>(unsigned x, unsigned mask) {
  return __reduce_max_sync(mask, x);
}
#endif

// One reduction over a team of kThreads: at most a warp, or a whole block of several warps. A block needs `slots` in
// shared memory, one per warp. Each reduction between two barriers of the block needs its own slots. Smaller teams do
// not use them.
template <typename Op, int kThreads, typename Value>
__device__ __forceinline__ Value reduce_over_team(Value x, Value* slots) {
  if constexpr (kThreads <= kWarpSize) {
    return reduce_over_lanes<Op, kThreads>(x, team_mask<kThreads>());
  } else {
    constexpr int kWarps = kThreads / kWarpSize;
    static_assert(kThreads % kWarpSize == 0 && (kWarps & (kWarps - 1)) == 0, "a power of two of warps");
    x = reduce_over_lanes<Op, kWarpSize>(x, kAllLanes);
    if (threadIdx.x % kWarpSize == 0) slots[threadIdx.x / kWarpSize] = x;
    __syncthreads();
    // Every warp combines the slots itself, which saves the second barrier of a broadcast.
    return reduce_over_lanes<Op, kWarps>(slots[threadIdx.x % kWarps], kAllLanes);
  }
}

// Maximum and sum over the lanes of a warp that differ from this lane by multiples of kStride. All of them get the
// result.
template <int kStride>
__device__ __forceinline__ float max_over_lanes(float x) {
#pragma unroll
  for (int distance = kStride; distance < kWarpSize; distance *= 2) {
    x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, distance));
  }
  return x;
}
template <int kStride>
__device__ __forceinline__ float sum_over_lanes(float x) {
#pragma unroll
  for (int distance = kStride; distance < kWarpSize; distance *= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
  return x;
}

}  // namespace awq

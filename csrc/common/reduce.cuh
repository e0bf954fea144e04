// Sums and maxima over the threads that share a row. The order of a sum depends only on the number of threads, so the
// same input gives the same bits on every run. All threads of the team get the result.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace awq {

constexpr int kWarpSize = 32;

// The lanes of the caller's team: the warp, or 2, 4, 8 or 16 lanes of it that start at a multiple of their number.
template <int kLanes>
__device__ __forceinline__ unsigned team_mask() {
  constexpr unsigned kMask = static_cast<unsigned>((1ull << kLanes) - 1);
  return kMask << (threadIdx.x % kWarpSize / kLanes * kLanes);
}

// How a team combines two values.
struct Sum {
  static constexpr float kIdentity = 0.0f;
  __device__ static float combine(float a, float b) { return a + b; }
};

// The maximum of magnitudes, held as the bits of |x|: as unsigned integers these are ordered as the floats are, and NaN
// lies above infinity. So unlike fmaxf, this keeps a NaN.
struct MaxMagnitude {
  static constexpr unsigned kIdentity = 0;
  __device__ static unsigned bits(float x) { return __float_as_uint(x) & 0x7fffffffu; }
  __device__ static unsigned combine(unsigned a, unsigned b) { return a > b ? a : b; }
};

template <typename Op, int kLanes, typename Value>
__device__ __forceinline__ Value reduce_over_lanes(Value x) {
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    x = Op::combine(x, __shfl_xor_sync(team_mask<kLanes>(), x, distance));
  }
  return x;
}

#if __CUDA_ARCH__ >= 800
// One instruction in place of ten.
template <>
__device__ __forceinline__ unsigned reduce_over_lanes<MaxMagnitude, kWarpSize>(unsigned x) {
  return __reduce_max_sync(team_mask<kWarpSize>(), x);
}
#endif

// One reduction over a team of kThreads: up to a warp, or a whole block of several. A block needs `slots` (shared memory,
// one per warp) of its own for each reduction between two of its barriers; a smaller team does not touch them.
template <typename Op, int kThreads, typename Value>
__device__ __forceinline__ Value reduce_over_team(Value x, Value* slots) {
  if constexpr (kThreads <= kWarpSize) {
    return reduce_over_lanes<Op, kThreads>(x);
  } else {
    static_assert(kThreads % kWarpSize == 0 && kThreads <= 1024, "a block of whole warps");
    const int lane = threadIdx.x % kWarpSize;
    x = reduce_over_lanes<Op, kWarpSize>(x);
    if (lane == 0) slots[threadIdx.x / kWarpSize] = x;
    __syncthreads();
    // Every warp combines the slots itself, which saves the second barrier of a broadcast.
    return reduce_over_lanes<Op, kWarpSize>(lane < kThreads / kWarpSize ? slots[lane] : Op::kIdentity);
  }
}

}  // namespace awq

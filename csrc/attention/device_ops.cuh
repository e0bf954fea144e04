// The instructions behind the attention kernels, one wrapper each.
#pragma once

#include <cstdint>

#include "csrc/common/reduce.cuh"

namespace awq::attention {

// Sixteen bytes of a cache. Each is used once per launch, so the lines are not kept in L1. An ordinary load, not
// ld.global.nc: the block reads back the slot it has just written. Volatile keeps the loads where the software pipeline
// puts them, ahead of the arithmetic on the tile before.
__device__ __forceinline__ uint4 load_cache_vector(const void* address) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(address)
               : "memory");
  return v;
}

// Maximum and sum over the lanes that differ from this one by multiples of kStride; all of them get it.
template <int kStride>
__device__ __forceinline__ float max_over_lanes(float x) {
#pragma unroll
  for (int distance = kStride; distance < kWarpSize; distance *= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
  }
  return x;
}
template <int kStride>
__device__ __forceinline__ float sum_over_lanes(float x) {
#pragma unroll
  for (int distance = kStride; distance < kWarpSize; distance *= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

// Transposes an 8x8 matrix of 16-bit elements held by a warp, two of row lane / 4 per lane.
__device__ __forceinline__ uint32_t transpose_8x8(uint32_t x) {
  uint32_t y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// A barrier of the cluster (sm_90) in two steps; threads that have exited count as arrived. The first form makes what
// this thread has written visible to those that wait, at the price of a memory barrier. Release and acquire are the
// defaults and stay unwritten: CUDA 11.8's PTX knows no modifiers here.
__device__ __forceinline__ void cluster_barrier_arrive_release() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_barrier_arrive() {
#if __CUDA_ARCH__ >= 900 && __CUDACC_VER_MAJOR__ >= 12
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#elif __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_barrier_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
#endif
}

// Reads the variable that lies at `local` in this block's shared memory from another block of the cluster.
__device__ __forceinline__ float load_from_block(const float* local, unsigned rank) {
  float value = 0.0f;
#if __CUDA_ARCH__ >= 900
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(local));
  asm volatile(
      "{\n"
      "  .reg .b32 remote;\n"
      "  mapa.shared::cluster.u32 remote, %1, %2;\n"
      "  ld.shared::cluster.f32 %0, [remote];\n"
      "}\n"
      : "=f"(value)
      : "r"(address), "r"(rank)
      : "memory");
#endif
  return value;
}

}  // namespace awq::attention

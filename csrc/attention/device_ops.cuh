// The instructions behind the attention kernels, one wrapper each.
#pragma once

#include <cstdint>

#include "csrc/common/vector.cuh"

namespace awq {

// Sixteen bytes of a cache, or zeros without touching memory. Each byte of the caches is used once per launch, so the
// lines are not kept in L1. An ordinary load, not ld.global.nc: the block reads back the slot it has just written.
// Volatile keeps the loads where the software pipeline puts them, ahead of the arithmetic on the tile before.
__device__ __forceinline__ uint4 load_cache_vector(const void* address, bool valid) {
  uint4 v;
  asm volatile(
      "{\n"
      "  .reg .pred valid;\n"
      "  setp.ne.b32 valid, %5, 0;\n"
      "  mov.b32 %0, 0;\n"
      "  mov.b32 %1, 0;\n"
      "  mov.b32 %2, 0;\n"
      "  mov.b32 %3, 0;\n"
      "  @valid ld.global.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];\n"
      "}\n"
      : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w)
      : "l"(address), "r"(static_cast<int>(valid))
      : "memory");
  return v;
}

// Transposes an 8x8 matrix of 16-bit elements held by a warp, two of row lane / 4 per lane.
__device__ __forceinline__ uint32_t transpose_8x8(uint32_t x) {
  uint32_t y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// Programmatic launch (sm_90): lets the next kernel of the stream, if launched so, start while this one drains; and, in
// that kernel, waits until this one's writes are there.
__device__ __forceinline__ void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace awq

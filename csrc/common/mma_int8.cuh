// The warp-wide int8 matrix product, with fallbacks for sm_75 and sm_70.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/common/gpu.h"

namespace awq {

// The product below on sm_70. The tensor cores of sm_70 have no int8 product. This function gathers rows and columns by
// shuffles and uses the four-way dot product. It is not inlined: a hundred inlined copies take the assembler minutes.
inline __noinline__ __device__ int4 mma_m16n8k32_by_shuffles(int4 d, uint4 a, uint32_t b0, uint32_t b1) {
  const int row_lane = threadIdx.x % 32 & ~3, column_lane = 8 * (threadIdx.x % 4);
#pragma unroll
  for (int c = 0; c < 4; ++c) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int b = static_cast<int>(half == 0 ? b0 : b1);
      const int left = __shfl_sync(kAllLanes, b, column_lane + c);
      const int right = __shfl_sync(kAllLanes, b, column_lane + 4 + c);
      const int top = __shfl_sync(kAllLanes, static_cast<int>(half == 0 ? a.x : a.z), row_lane + c);
      const int bottom = __shfl_sync(kAllLanes, static_cast<int>(half == 0 ? a.y : a.w), row_lane + c);
      d.x = __dp4a(top, left, d.x);
      d.y = __dp4a(top, right, d.y);
      d.z = __dp4a(bottom, left, d.z);
      d.w = __dp4a(bottom, right, d.w);
    }
  }
  return d;
}

// D += A * B with A [16, 32] and B [32, 8] of int8, D [16, 8] int32, wrapping. A register has four int8. The lowest
// byte has the lowest k. Lane 4g + c of the warp holds
//   a[0] A[g][4c..4c+3]   a[1] A[g+8][4c..]   a[2] A[g][4c+16..]   a[3] A[g+8][4c+16..]
//   b0   B[4c..4c+3][g]   b1   B[4c+16..][g]
//   d[0], d[1] D[g][2c, 2c+1]   d[2], d[3] D[g+8][2c, 2c+1]
// In bytes these are the fragments of m16n8k16 for 16-bit elements, so ldmatrix brings them.
__device__ __forceinline__ void mma_m16n8k32(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif __CUDA_ARCH__ >= 750
  // The quarters (halves of the rows, halves of K) have the fragments of the smaller product.
  const uint32_t b[2] = {b0, b1};
#pragma unroll
  for (int quarter = 0; quarter < 4; ++quarter) {
    int* const rows = d + 2 * (quarter % 2);
    asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
        : "+r"(rows[0]), "+r"(rows[1])
        : "r"(a[quarter]), "r"(b[quarter / 2]));
  }
#else
  const int4 sum = mma_m16n8k32_by_shuffles({d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, b0, b1);
  d[0] = sum.x, d[1] = sum.y, d[2] = sum.z, d[3] = sum.w;
#endif
}

}  // namespace awq

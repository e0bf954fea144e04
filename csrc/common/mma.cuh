// The warp-wide matrix product of all tensor-core kernels here, with fallbacks for sm_70 and sm_75.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/common/dtype.h"
#include "csrc/common/gpu.h"
#if AWQ_ENABLE_BF16
#include <cuda_bf16.h>
#endif

namespace awq {

// The product below for half on sm_70. The tensor cores of sm_70 have only a product of another shape. This function
// gathers rows and columns by shuffles and multiplies on the CUDA cores. It is not inlined: a hundred inlined copies
// take the assembler minutes.
inline __noinline__ __device__ float4 mma_m16n8k16_by_shuffles(float4 d, uint4 a, uint32_t b0, uint32_t b1) {
  const int row_lane = threadIdx.x % 32 & ~3, column_lane = 8 * (threadIdx.x % 4);
  const auto add_product = [](float& sum, uint32_t x, uint32_t y) {
    const float2 u = __half22float2(*reinterpret_cast<const __half2*>(&x));
    const float2 v = __half22float2(*reinterpret_cast<const __half2*>(&y));
    sum = fmaf(u.x, v.x, fmaf(u.y, v.y, sum));
  };
#pragma unroll
  for (int c = 0; c < 4; ++c) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t b = half == 0 ? b0 : b1;
      const uint32_t left = __shfl_sync(kAllLanes, b, column_lane + c);
      const uint32_t right = __shfl_sync(kAllLanes, b, column_lane + 4 + c);
      const uint32_t top = __shfl_sync(kAllLanes, half == 0 ? a.x : a.z, row_lane + c);
      const uint32_t bottom = __shfl_sync(kAllLanes, half == 0 ? a.y : a.w, row_lane + c);
      add_product(d.x, top, left);
      add_product(d.y, top, right);
      add_product(d.z, bottom, left);
      add_product(d.w, bottom, right);
    }
  }
  return d;
}

// D += A * B with A [16, 16] and B [16, 8] of T (half; bfloat16 from sm_80 on) and D [16, 8] fp32.
// Lane 4g + c of the warp holds
//   a[0] A[g][2c, 2c+1]   a[1] A[g+8][2c, 2c+1]   a[2] A[g][2c+8, 2c+9]   a[3] A[g+8][2c+8, 2c+9]
//   b[0] B[2c, 2c+1][g]   b[1] B[2c+8, 2c+9][g]
//   d[0], d[1] D[g][2c, 2c+1]   d[2], d[3] D[g+8][2c, 2c+1]
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

template <>
__device__ __forceinline__ void mma_m16n8k16<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif __CUDA_ARCH__ >= 750
  // The halves of K have the fragments of the smaller product.
  const uint32_t b[2] = {b0, b1};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
  }
#else
  const float4 sum = mma_m16n8k16_by_shuffles({d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, b0, b1);
  d[0] = sum.x, d[1] = sum.y, d[2] = sum.z, d[3] = sum.w;
#endif
}

#if AWQ_ENABLE_BF16
template <>
__device__ __forceinline__ void mma_m16n8k16<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                            uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();  // launch functions refuse bfloat16 below sm_80
#endif
}
#endif

}  // namespace awq

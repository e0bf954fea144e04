// Gated SiLU, element by element.
#include <type_traits>

#include "csrc/activation/activation.h"
#include "csrc/common/launch.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/vector.cuh"

namespace awq {
namespace silu_and_mul {

constexpr int kBlockThreads = 256;
constexpr int64_t kMaxGridY = 65535;

// For 16-bit results the fast exponential and division are exact enough (a few units of fp32's last place).
template <typename T>
__device__ __forceinline__ float silu(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x / (1.0f + expf(-x));
  } else {
    return __fdividef(x, 1.0f + __expf(-x));
  }
}

// One thread, kCount elements of a row. The block is [rows][columns of threads], so that short rows share one.
template <typename T, int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    silu_and_mul_kernel(const T* input, T* out, int64_t tokens, int64_t d) {
  using V = Vec<T, kCount>;
  ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kCount;
  if (column >= d) return;
  for (int64_t t = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; t < tokens;
       t += static_cast<int64_t>(gridDim.y) * blockDim.y) {
    const T* const row = input + t * 2 * d;
    const V gate = load_vec<V>(row + column);
    const V up = load_vec<V>(row + d + column);
    float x[kCount], y[kCount];
    widen(gate, x);
    widen(up, y);
#pragma unroll
    for (int e = 0; e < kCount; ++e) x[e] = silu<T>(x[e]) * y[e];
    store_vec(out + t * d + column, narrow<T>(x));
  }
}

template <typename T, int kCount>
cudaError_t launch(const SiluAndMulParams& p, cudaStream_t stream) {
  const int64_t columns = p.d / kCount;  // of threads; exact, since the caller saw that kCount divides d
  unsigned width = 1;
  while (width < kBlockThreads && width < columns) width *= 2;
  const dim3 block(width, kBlockThreads / width);
  const int64_t row_blocks = ceil_div(p.tokens, block.y);
  const dim3 grid(static_cast<unsigned>(ceil_div(columns, width)),
                  static_cast<unsigned>(row_blocks < kMaxGridY ? row_blocks : kMaxGridY));
  return launch_overlapping_if_short(silu_and_mul_kernel<T, kCount>, {grid, block}, stream,
                                     static_cast<const T*>(p.input), static_cast<T*>(p.out), p.tokens, p.d);
}

}  // namespace silu_and_mul

cudaError_t launch_silu_and_mul(const SiluAndMulParams& params, cudaStream_t stream) {
  constexpr int64_t kMaxD = int64_t{1} << 30;
  if (params.tokens < 0 || params.d < 0 || params.d > kMaxD) return cudaErrorInvalidValue;
  return dispatch_dtype(params.dtype, [&](auto element) {
    using T = decltype(element);
    if (params.tokens == 0 || params.d == 0) return cudaSuccess;
    const bool whole = params.d % kVecElems<T> == 0 && is_aligned(params.input) && is_aligned(params.out);
    return whole ? silu_and_mul::launch<T, kVecElems<T>>(params, stream) : silu_and_mul::launch<T, 1>(params, stream);
  });
}

}  // namespace awq

// GELU and per-token int8 quantization of its fp16 values, in one pass over the row.
#include "csrc/activation/activation.h"
#include "csrc/common/device.h"
#include "csrc/common/quantize.cuh"
#include "csrc/common/rows.cuh"

namespace awq {
namespace gelu_and_quant {

// x/2 * (1 + tanh(u)) = x / (1 + exp(-2u)): one exponential, and no cancellation where tanh(u) nears -1. The fast
// exponential and division err by a few units of fp32's last place, far below the rounding to fp16 that follows.
__device__ __forceinline__ float gelu(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  const float u = kSqrt2OverPi * fmaf(0.044715f * x * x, x, x);
  return __fdividef(x, 1.0f + __expf(-2.0f * u));
}

template <typename T, typename Config, bool kWhole>
__global__ void __launch_bounds__(Config::kBlockThreads)
    gelu_and_quant_kernel(const T* input, T* tmp, int8_t* out, __half* scale, int64_t tokens, int columns) {
  __shared__ unsigned slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;

  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    RowTile<T, Config> row(input + t * columns, columns, kWhole);
    T* const tmp_row = tmp + t * columns;
    int8_t* const out_row = out + t * columns;

    float max_abs = 0.0f;
    row.visit([&](Vec<T>& v, int first, int count) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) x[e] = gelu(x[e]);  // 0 past the row's end
      v = narrow<T>(x);
      store_vec(tmp_row + first, v, count, kWhole);
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) max_abs = ptx::max_magnitude(max_abs, x[e]);
    });
    const unsigned max_bits = reduce_over_team<MaxMagnitude, Config::kThreads>(MaxMagnitude::bits(max_abs), slots);
    const float factor = row_factor(__uint_as_float(max_bits));
    if (threadIdx.x % Config::kThreads == 0) scale[t] = row_scale(__uint_as_float(max_bits));

    row.continue_from(tmp_row);  // each thread reads back what it wrote itself
    row.forget_conversions();
    row.visit([&](const Vec<T>& v, int first, int count) {
      float x[kElems];
      widen(v, x);
      store_int8(out_row + first, x, factor, count, kWhole);
    });
    end_row<Config>();
  }
}

template <typename T, typename Config>
struct Launch {
  static cudaError_t run(const GeluAndQuantParams& p, cudaStream_t stream) {
    const bool whole =
        p.d % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.tmp) && is_aligned(p.out, kVecElems<T>);
    const auto kernel = whole ? gelu_and_quant_kernel<T, Config, true> : gelu_and_quant_kernel<T, Config, false>;
    kernel<<<row_blocks<Config>(p.tokens), Config::kBlockThreads, 0, stream>>>(
        static_cast<const T*>(p.input), static_cast<T*>(p.tmp), p.out, static_cast<__half*>(p.scale_out), p.tokens,
        static_cast<int>(p.d));
    return checked_launch();
  }
};

}  // namespace gelu_and_quant

cudaError_t launch_gelu_and_quant(const GeluAndQuantParams& params, cudaStream_t stream) {
  if (params.tokens < 0 || params.d < 0 || params.d > kMaxColumns) return cudaErrorInvalidValue;
  if (params.tokens == 0 || params.d == 0) return cudaSuccess;
  return launch_rows<gelu_and_quant::Launch, __half>(params, params.d, stream);
}

}  // namespace awq

// Per-token int8 quantization: one read and one write per element, the row in registers in between.
#include "csrc/common/device.h"
#include "csrc/common/quantize.cuh"
#include "csrc/common/rows.cuh"
#include "csrc/quantization/quantization.h"

namespace awq {
namespace per_token_quant {

template <typename T, typename Config, bool kWhole>
__global__ void __launch_bounds__(Config::kBlockThreads)
    per_token_quant_kernel(const T* input, int8_t* out, __half* scale, int64_t tokens, int columns) {
  __shared__ unsigned slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;

  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    RowTile<T, Config> row(input + t * columns, columns, kWhole);
    int8_t* const out_row = out + t * columns;

    float max_abs = 0.0f;
    row.visit([&](const Vec<T>& v, int, int) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) max_abs = ptx::max_magnitude(max_abs, x[e]);
    });
    const unsigned max_bits = reduce_over_team<MaxMagnitude, Config::kThreads>(MaxMagnitude::bits(max_abs), slots);
    const float factor = row_factor(__uint_as_float(max_bits));
    if (threadIdx.x % Config::kThreads == 0) scale[t] = row_scale(__uint_as_float(max_bits));

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
  static cudaError_t run(const PerTokenQuantParams& p, cudaStream_t stream) {
    const bool whole = p.channels % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.out, kVecElems<T>);
    const auto kernel = whole ? per_token_quant_kernel<T, Config, true> : per_token_quant_kernel<T, Config, false>;
    kernel<<<row_blocks<Config>(p.tokens), Config::kBlockThreads, 0, stream>>>(
        static_cast<const T*>(p.input), p.out, static_cast<__half*>(p.scale), p.tokens, static_cast<int>(p.channels));
    return checked_launch();
  }
};

}  // namespace per_token_quant

cudaError_t launch_per_token_quant(const PerTokenQuantParams& params, cudaStream_t stream) {
  if (params.tokens < 0 || params.channels < 0 || params.channels > kMaxColumns) return cudaErrorInvalidValue;
  return dispatch_dtype(params.dtype, [&](auto element) {
    if (params.tokens == 0 || params.channels == 0) return cudaSuccess;
    return launch_rows<per_token_quant::Launch, decltype(element)>(params, params.channels, stream);
  });
}

}  // namespace awq

// RMSNorm: one read and one write per element, the row in registers in between.
#include "csrc/common/launch.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/rows.cuh"
#include "csrc/norm/norm.h"

namespace awq {
namespace rms_norm {

template <typename T, typename Config, bool kWhole>
__global__ void __launch_bounds__(Config::kBlockThreads)
    rms_norm_kernel(const T* input, const T* gamma, T* out, int64_t tokens, int columns, float eps) {
  __shared__ float slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;

  ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    RowTile<T, Config> row(input + t * columns, columns, kWhole);
    RowTile<T, Config> weight(gamma, columns, kWhole);  // on its way while the row is summed up
    T* const out_row = out + t * columns;

    float sum = 0.0f;
    row.visit([&](const Vec<T>& v, int, int) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) sum = fmaf(x[e], x[e], sum);  // elements past the row's end are zero
    });
    sum = reduce_over_team<Sum, Config::kThreads>(sum, slots);
    const float reciprocal_rms = rsqrtf(sum / static_cast<float>(columns) + eps);

    row.forget_conversions();
    weight.forget_conversions();  // that is, do not convert before the sum
    row.visit(
        [&](const Vec<T>& v, int first, int count, const Vec<T>& gamma_vector) {
          float x[kElems], g[kElems];
          widen(v, x);
          widen(gamma_vector, g);
#pragma unroll
          for (int e = 0; e < kElems; ++e) x[e] = saturate<T>(x[e] * reciprocal_rms * g[e]);
          store_vec(out_row + first, narrow<T>(x), count, kWhole);
        },
        weight);
    end_row<Config>();
  }
}

template <typename T, typename Config>
struct Launch {
  static cudaError_t run(const RmsNormParams& p, cudaStream_t stream) {
    const bool whole =
        p.channels % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.gamma) && is_aligned(p.out);
    const auto kernel = whole ? rms_norm_kernel<T, Config, true> : rms_norm_kernel<T, Config, false>;
    return launch_overlapping_if_short(kernel, {row_blocks<Config>(p.tokens), Config::kBlockThreads}, stream,
                                       static_cast<const T*>(p.input), static_cast<const T*>(p.gamma),
                                       static_cast<T*>(p.out), p.tokens, static_cast<int>(p.channels), p.eps);
  }
};

}  // namespace rms_norm

cudaError_t launch_rms_norm(const RmsNormParams& params, cudaStream_t stream) {
  if (params.tokens < 0 || params.channels < 0 || params.channels > kMaxColumns) return cudaErrorInvalidValue;
  return dispatch_dtype(params.dtype, [&](auto element) {
    if (params.tokens == 0 || params.channels == 0) return cudaSuccess;
    return launch_rows<rms_norm::Launch, decltype(element)>(params, params.channels, stream);
  });
}

}  // namespace awq

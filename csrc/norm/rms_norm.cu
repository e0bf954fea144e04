// RMSNorm, alone or of a sum: one read and one write per element and tensor, the row in registers in between.
#include "csrc/common/launch.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/rows.cuh"
#include "csrc/norm/norm.h"

namespace awq {
namespace rms_norm {

// With kAdd, the input is first added to the residual.
template <typename T, typename Config, bool kWhole, bool kAdd>
__global__ void __launch_bounds__(Config::kBlockThreads)
    rms_norm_kernel(const T* input, T* residual, const T* gamma, T* out, int64_t tokens, int columns, float eps) {
  __shared__ float slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;

  ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    RowTile<T, Config> row(input + t * columns, columns, kWhole);
    T* const out_row = out + t * columns;
    T* const residual_row = kAdd ? residual + t * columns : nullptr;

    float sum = 0.0f;
    const auto add_squares = [&](const Vec<T>& v) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) sum = fmaf(x[e], x[e], sum);  // elements past the row's end are zero
    };
    const RowTile<T, Config> other(residual_row, kAdd ? columns : 0, kWhole);
    RowTile<T, Config> weight(gamma, columns, kWhole);  // on its way while the row is summed up
    if constexpr (kAdd) {
      row.visit(
          [&](Vec<T>& v, int first, int count, const Vec<T>& residual_vector) {
            float x[kElems], r[kElems];
            widen(v, x);
            widen(residual_vector, r);
#pragma unroll
            for (int e = 0; e < kElems; ++e) x[e] += r[e];
            v = narrow<T>(x);
            store_vec(residual_row + first, v, count, kWhole);
            add_squares(v);
          },
          other);
      row.continue_from(residual_row);
    } else {
      row.visit([&](const Vec<T>& v, int, int) { add_squares(v); });
    }
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
    const bool whole = p.channels % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.residual) &&
                       is_aligned(p.gamma) && is_aligned(p.out);
    const auto launch = [&](auto kernel) {
      return launch_overlapping_if_short(kernel, {row_blocks<Config>(p.tokens), Config::kBlockThreads}, stream,
                                         static_cast<const T*>(p.input), static_cast<T*>(p.residual),
                                         static_cast<const T*>(p.gamma), static_cast<T*>(p.out), p.tokens,
                                         static_cast<int>(p.channels), p.eps);
    };
    if (p.residual != nullptr) {
      return whole ? launch(rms_norm_kernel<T, Config, true, true>) : launch(rms_norm_kernel<T, Config, false, true>);
    }
    return whole ? launch(rms_norm_kernel<T, Config, true, false>) : launch(rms_norm_kernel<T, Config, false, false>);
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

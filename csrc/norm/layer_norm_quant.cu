// LayerNorm with int8 output: mean, variance, maximum and quantization from one read of the row.
#include "csrc/common/device.h"
#include "csrc/common/quantize.cuh"
#include "csrc/common/rows.cuh"
#include "csrc/norm/norm.h"

namespace awq {
namespace {

// x becomes (x - mean) * reciprocal_deviation * weight + bias; bias may be null.
template <typename T, int kElems>
__device__ __forceinline__ void normalize(float (&x)[kElems], float mean, float reciprocal_deviation, const T* weight,
                                          const T* bias, int count, bool whole) {
  float w[kElems], b[kElems] = {};
  widen(load_vec(weight, count, whole), w);
  if (bias != nullptr) widen(load_vec(bias, count, whole), b);
#pragma unroll
  for (int e = 0; e < kElems; ++e) {
    // Elements past the row's end hold -mean or such; weight and bias read as zero there and clear them.
    x[e] = fmaf((x[e] - mean) * reciprocal_deviation, w[e], b[e]);
  }
}

template <typename T, typename Config>
__global__ void __launch_bounds__(Config::kBlockThreads)
    layer_norm_quant_kernel(const T* input, const T* weight, const T* bias, int8_t* out, __half* scaling,
                            int64_t tokens, int columns, float eps, bool per_token, bool whole) {
  __shared__ float sum_slots[Config::kWarps];
  __shared__ float deviation_slots[Config::kWarps];
  __shared__ unsigned max_slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;

  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    RowTile<T, Config> row(input + t * columns, columns, whole);
    int8_t* const out_row = out + t * columns;

    float sum = 0.0f;
    row.visit([&](const Vec<T>& v, int, int) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) sum += x[e];  // elements past the row's end are zero
    });
    const float mean = reduce_over_team<Sum, Config::kThreads>(sum, sum_slots) / static_cast<float>(columns);

    // A second look at the deviations, not the mean of squares: that cancels when the mean is large.
    float squares = 0.0f;
    row.visit([&](const Vec<T>& v, int, int count) {
      float x[kElems];
      widen(v, x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) {
        const float deviation = whole || e < count ? x[e] - mean : 0.0f;
        squares = fmaf(deviation, deviation, squares);
      }
    });
    const float variance =
        reduce_over_team<Sum, Config::kThreads>(squares, deviation_slots) / static_cast<float>(columns);
    const float reciprocal_deviation = rsqrtf(variance + eps);

    // Done for the maximum and again for the values: weight and bias come from the first-level cache then, and the
    // fp32 results need no registers in between.
    const auto normalized = [&](const Vec<T>& v, int first, int count, float(&y)[kElems]) {
      widen(v, y);
      normalize(y, mean, reciprocal_deviation, weight + first, bias == nullptr ? bias : bias + first, count, whole);
    };

    float factor;
    if (per_token) {
      unsigned max_bits = MaxMagnitude::kIdentity;
      row.visit([&](const Vec<T>& v, int first, int count) {
        float y[kElems];
        normalized(v, first, count, y);
#pragma unroll
        for (int e = 0; e < kElems; ++e) max_bits = MaxMagnitude::combine(max_bits, MaxMagnitude::bits(y[e]));
      });
      max_bits = reduce_over_team<MaxMagnitude, Config::kThreads>(max_bits, max_slots);
      const RowScale scale = row_scale(__uint_as_float(max_bits));
      if (threadIdx.x % Config::kThreads == 0) scaling[t] = scale.scale;
      factor = scale.factor;
    } else {
      factor = __half2float(*scaling);
    }

    row.visit([&](const Vec<T>& v, int first, int count) {
      float y[kElems];
      normalized(v, first, count, y);
      store_int8(out_row + first, y, factor, count, whole);
    });
    end_row<Config>();
  }
}

template <typename T, typename Config>
struct Launch {
  static cudaError_t run(const LayerNormQuantParams& p, cudaStream_t stream) {
    const void* const bias = p.per_token ? p.bias : nullptr;
    const bool whole = p.channels % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.weight) &&
                       is_aligned(bias) && is_aligned(p.out, kVecElems<T>);
    layer_norm_quant_kernel<T, Config><<<row_blocks<Config>(p.tokens), Config::kBlockThreads, 0, stream>>>(
        static_cast<const T*>(p.input), static_cast<const T*>(p.weight), static_cast<const T*>(bias), p.out,
        static_cast<__half*>(p.scaling), p.tokens, static_cast<int>(p.channels), p.eps, p.per_token, whole);
    return checked_launch();
  }
};

}  // namespace

cudaError_t launch_layer_norm_quant(const LayerNormQuantParams& params, cudaStream_t stream) {
  if (params.tokens < 0 || params.channels < 0 || params.channels > kMaxColumns) return cudaErrorInvalidValue;
  return dispatch_dtype(params.dtype, [&](auto element) {
    if (params.tokens == 0 || params.channels == 0) return cudaSuccess;
    return launch_rows<Launch, decltype(element)>(params, params.channels, stream);
  });
}

}  // namespace awq

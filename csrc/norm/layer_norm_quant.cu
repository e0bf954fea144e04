// LayerNorm with int8 output: mean, variance, maximum and quantization from one read of the row.
#include <algorithm>
#include <type_traits>

#include "csrc/common/device.h"
#include "csrc/common/quantize.cuh"
#include "csrc/common/rows.cuh"
#include "csrc/norm/norm.h"

namespace awq {
namespace layer_norm_quant {

// Elements of a row that a thread holds, as fp32 because each is used four times. The kernel is bound by instructions
// as much as by memory, and the three reductions are spread over these elements: with 16 of them 16384 rows of 4096
// took 84 us on an H200, with 32 (and shorter reductions) they take 72; the floor by bytes is 47.
constexpr int kElemsPerThread = 32;
constexpr int kThreadsPerSm = 640;  // what the registers allow then

template <typename T, typename Config, bool kWhole>
__global__ void __launch_bounds__(Config::kBlockThreads, std::max(kThreadsPerSm / Config::kBlockThreads, 1))
    layer_norm_quant_kernel(const T* input, const T* weight, const T* bias, int8_t* out, __half* scaling,
                            int64_t tokens, int columns, float eps, bool per_token) {
  __shared__ float sum_slots[Config::kWarps];
  __shared__ float square_slots[Config::kWarps];
  __shared__ unsigned max_slots[Config::kWarps];
  constexpr int kElems = kVecElems<T>;
  using X = Floats<kElems>;
  const float per_column = 1.0f / static_cast<float>(columns);

  for (int64_t t = first_row<Config>(); t < tokens; t += row_step<Config>()) {
    // Weight and bias are on their way while mean and variance are found. Without bias nothing is read, all are zeros.
    RowTile<T, Config> weights(weight, columns, kWhole);
    RowTile<T, Config> biases(bias, bias == nullptr ? 0 : columns, kWhole);
    RowTile<T, Config, true> row(input + t * columns, columns, kWhole);
    int8_t* const out_row = out + t * columns;

    float sum = 0.0f;
    row.visit([&](const X& x, int, int) {
#pragma unroll
      for (int e = 0; e < kElems; ++e) sum += x.elem[e];  // elements past the row's end are zero
    });
    // Divided, not multiplied by the reciprocal: the mean of equal 16-bit values is then exact and their deviations
    // zero.
    const float mean = reduce_over_team<Sum, Config::kThreads>(sum, sum_slots) / static_cast<float>(columns);

    // A second look at the deviations, not the mean of squares: that cancels when the mean is large.
    const auto center = [&](X& x) {
#pragma unroll
      for (int e = 0; e < kElems; ++e) x.elem[e] -= mean;
    };
    float squares = 0.0f;
    row.visit([&](X& x, int, int count) {
      center(x);
#pragma unroll
      for (int e = 0; e < kElems; ++e) {
        if (kWhole || e < count) squares = fmaf(x.elem[e], x.elem[e], squares);
      }
    });
    const float variance = reduce_over_team<Sum, Config::kThreads>(squares, square_slots) * per_column;
    const float reciprocal_deviation = rsqrtf(variance + eps);

    // Past the row's end weight and bias are zero, and so are the results.
    const auto normalize = [&](X& x, const Vec<T>& weight_vector, const Vec<T>& bias_vector) {
      float w[kElems], b[kElems];
      widen(weight_vector, w);
      widen(bias_vector, b);
#pragma unroll
      for (int e = 0; e < kElems; ++e) x.elem[e] = fmaf(x.elem[e] * reciprocal_deviation, w[e], b[e]);
    };
    weights.forget_conversions();  // that is, do not convert before mean and variance are known
    biases.forget_conversions();
    unsigned max_bits = MaxMagnitude::kIdentity;
    row.visit(
        [&](X& x, int, int, const Vec<T>& w, const Vec<T>& b) {
          if (!Config::kResident) center(x);
          normalize(x, w, b);
#pragma unroll
          for (int e = 0; e < kElems; ++e) max_bits = MaxMagnitude::combine(max_bits, MaxMagnitude::bits(x.elem[e]));
        },
        weights, biases);

    float factor;
    if (per_token) {
      const float max_magnitude =
          __uint_as_float(reduce_over_team<MaxMagnitude, Config::kThreads>(max_bits, max_slots));
      factor = row_factor(max_magnitude);
      if (threadIdx.x % Config::kThreads == 0) scaling[t] = row_scale(max_magnitude);
    } else {
      factor = __half2float(*scaling);
    }
    row.visit(
        [&](X& x, int first, int count, const Vec<T>& w, const Vec<T>& b) {
          if (!Config::kResident) {
            center(x);
            normalize(x, w, b);
          }
          store_int8(out_row + first, x.elem, factor, count, kWhole);
        },
        weights, biases);
    end_row<Config>();
  }
}

template <typename T, typename TableConfig>
struct Launch {
  // A block of 1024 threads has 64 registers for each, too few: such rows are read again.
  using Config = std::conditional_t<TableConfig::kThreads == 1024, RowConfig<1024, 1, false>, TableConfig>;

  static cudaError_t run(const LayerNormQuantParams& p, cudaStream_t stream) {
    const void* const bias = p.per_token ? p.bias : nullptr;
    const bool whole = p.channels % kVecElems<T> == 0 && is_aligned(p.input) && is_aligned(p.weight) &&
                       is_aligned(bias) && is_aligned(p.out, kVecElems<T>);
    const auto kernel = whole ? layer_norm_quant_kernel<T, Config, true> : layer_norm_quant_kernel<T, Config, false>;
    kernel<<<row_blocks<Config>(p.tokens), Config::kBlockThreads, 0, stream>>>(
        static_cast<const T*>(p.input), static_cast<const T*>(p.weight), static_cast<const T*>(bias), p.out,
        static_cast<__half*>(p.scaling), p.tokens, static_cast<int>(p.channels), p.eps, p.per_token);
    return checked_launch();
  }
};

}  // namespace layer_norm_quant

cudaError_t launch_layer_norm_quant(const LayerNormQuantParams& params, cudaStream_t stream) {
  if (params.tokens < 0 || params.channels < 0 || params.channels > kMaxColumns) return cudaErrorInvalidValue;
  return dispatch_dtype(params.dtype, [&](auto element) {
    if (params.tokens == 0 || params.channels == 0) return cudaSuccess;
    using T = decltype(element);
    return launch_rows<layer_norm_quant::Launch, T, layer_norm_quant::kElemsPerThread / kVecElems<T>>(
        params, params.channels, stream);
  });
}

}  // namespace awq

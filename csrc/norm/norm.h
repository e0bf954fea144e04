// Normalization over the last dimension: RMSNorm, and LayerNorm followed by int8 quantization. Host interface, no
// PyTorch.
//
// Both functions:
//   stream   run on the current device and on `stream`, allocate nothing, never synchronize, can be captured in a graph
//   errors   cudaErrorInvalidValue for a data type that is not listed or a negative size. Otherwise the launch's own
//            error
//   zeros    zero tokens or zero channels are legal and launch nothing. Zero channels leave the scales unwritten
//   buffers  the caller owns them. Matrices are contiguous. A pointer needs only the alignment of its element. 16-byte
//            alignment and rows of a multiple of 16 bytes are faster. Offsets are 64-bit
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

struct RmsNormParams {
  const void* input;  // [tokens, channels] of dtype
  void* residual;     // null, or [tokens, channels] of dtype, read and written; overlaps nothing
  const void* gamma;  // [channels] of dtype
  void* out;          // [tokens, channels] of dtype; may be `input` itself, may not overlap it otherwise
  int64_t tokens;
  int64_t channels;  // at most 2^31 - 1
  float eps;
  DType dtype;  // kFloat16, kBFloat16 or kFloat32
};

// out[t, c] = x[t, c] * rsqrt(mean_c(x[t, c]^2) + eps) * gamma[c]
//
// where x is `input`. With a residual, residual[t, c] += input[t, c] is computed first and rounded to dtype, and x is
// the new residual. Sums and products are fp32, with one rounding at the end. A finite fp16 result beyond the type's
// range becomes +-65504. NaN and infinities are those of the formula.
cudaError_t launch_rms_norm(const RmsNormParams& params, cudaStream_t stream);

struct LayerNormQuantParams {
  int8_t* out;         // [tokens, channels]
  const void* input;   // [tokens, channels] of dtype
  const void* weight;  // [channels] of dtype
  const void* bias;    // [channels] of dtype, read only if per_token; null means no bias
  void* scaling;       // fp16; per_token: [tokens], written; else [1], read
  int64_t tokens;
  int64_t channels;  // at most 2^31 - 1
  float eps;
  bool per_token;
  DType dtype;  // kFloat16, kBFloat16 or kFloat32
};

// LayerNorm in fp32, quantized to int8 (round to nearest even):
//
//   n[t, c] = (input[t, c] - mean_c) * rsqrt(var_c + eps) * weight[c]     var_c: biased, from deviations of the mean
//   per_token:  y = n + bias[c];  scaling[t] = max_c |y| / 127;  out = round(y * 127 / max_c |y|)   in -127..127
//   otherwise:  out = round(n * scaling[0])                                                 clamped to -128..127
//
// A row whose y are all zero gives zeros and scale 0. A row with a NaN or an infinity has the scale NaN or inf. Its
// elements are zero where the product is NaN.
cudaError_t launch_layer_norm_quant(const LayerNormQuantParams& params, cudaStream_t stream);

}  // namespace awq

// Symmetric int8 quantization of activations, one scale per token. Host interface, no PyTorch.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

struct PerTokenQuantParams {
  int8_t* out;        // [tokens, channels]
  const void* input;  // [tokens, channels] of dtype
  void* scale;        // [tokens] fp16, written
  int64_t tokens;
  int64_t channels;  // at most 2^31 - 1
  DType dtype;       // kFloat16, kBFloat16 or kFloat32
};

// scale[t] = max_c |input[t, c]| / 127 as fp16,  out[t, c] = round(input[t, c] * (127 / max_c |input[t, c]|))
//
// The factor is computed in fp32 from the exact maximum, not from the rounded scale; rounding is to nearest even, the
// result lies in -127..127. Corners:
//   - a row of zeros (or of values below 2^-120, whose scale vanishes in fp16 and whose factor would leave fp32's
//     range) gives zeros and scale 0;
//   - a row with a NaN has scale NaN and zeros; a row with an infinity (and no NaN) has scale inf and zeros;
//   - a maximum beyond 127 * 65504 has scale inf, as conversion to fp16 gives it, and valid int8 values.
//
// Runs on the current device and on `stream`, allocates nothing, never synchronizes and can be captured in a graph.
// Returns cudaErrorInvalidValue for a data type that is not listed or a negative size, else the error of the launch.
// Zero tokens or zero channels are legal and launch nothing (zero channels leave the scales unwritten). The caller
// owns every buffer. Matrices are contiguous; a pointer needs no more than its element's own alignment, although
// 16-byte alignment and rows of a multiple of 16 bytes are faster. Offsets are 64-bit.
cudaError_t launch_per_token_quant(const PerTokenQuantParams& params, cudaStream_t stream);

}  // namespace awq

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
// The factor is computed in fp32 from the exact maximum, not from the rounded scale. Rounding is to nearest even. The
// result is in -127..127. Special cases:
//   - A row of zeros gives zeros and scale 0. So does a row of values below 2^-120: its scale is 0 in fp16, and its
//     factor would leave fp32's range.
//   - A row with a NaN gives zeros and scale NaN. A row with an infinity and no NaN gives zeros and scale inf.
//   - A maximum beyond 127 * 65504 gives valid int8 values and scale inf, as conversion to fp16 gives it.
//
//   stream   runs on the current device and on `stream`, allocates nothing, never synchronizes, can be captured in a
//            graph
//   errors   cudaErrorInvalidValue for a data type that is not listed or a negative size. Otherwise the launch's own
//            error
//   zeros    zero tokens or zero channels are legal and launch nothing. Zero channels leave the scales unwritten
//   buffers  the caller owns them. Matrices are contiguous. A pointer needs only the alignment of its element. 16-byte
//            alignment and rows of a multiple of 16 bytes are faster. Offsets are 64-bit
cudaError_t launch_per_token_quant(const PerTokenQuantParams& params, cudaStream_t stream);

}  // namespace awq

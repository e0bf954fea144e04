// Activations of the MLP: gated SiLU, and GELU followed by int8 quantization. Host interface, no PyTorch.
//
// Both functions:
//   stream   run on the current device and on `stream`, allocate nothing, never synchronize, can be captured in a graph
//   errors   cudaErrorInvalidValue for a data type that is not listed or a negative size. Otherwise the launch's own
//            error
//   zeros    zero tokens or d = 0 are legal and launch nothing. d = 0 leaves the scales unwritten
//   buffers  the caller owns them. Matrices are contiguous. A pointer needs only the alignment of its element. 16-byte
//            alignment and rows of a multiple of 16 bytes are faster. Offsets are 64-bit
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/dtype.h"

namespace awq {

struct SiluAndMulParams {
  const void* input;  // [tokens, 2 * d] of dtype
  void* out;          // [tokens, d] of dtype; may not overlap input
  int64_t tokens;
  int64_t d;    // at most 2^30
  DType dtype;  // kFloat16, kBFloat16 or kFloat32
};

// out[t, i] = silu(input[t, i]) * input[t, d + i],  silu(x) = x / (1 + exp(-x))
//
// Computed in fp32, with one rounding at the end.
cudaError_t launch_silu_and_mul(const SiluAndMulParams& params, cudaStream_t stream);

struct GeluAndQuantParams {
  int8_t* out;        // [tokens, d]
  const void* input;  // [tokens, d] fp16
  void* scale_out;    // [tokens] fp16, written
  void* tmp;          // [tokens, d] fp16, written; may be `input` itself, may not overlap it otherwise
  int64_t tokens;
  int64_t d;  // at most 2^31 - 1
};

// tmp = gelu(input) rounded to fp16,  gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
//
// The rounded values are then quantized as in quantization.h:
// scale_out[t] = max_i |tmp| / 127, out = round(tmp * 127 / max_i |tmp|).
cudaError_t launch_gelu_and_quant(const GeluAndQuantParams& params, cudaStream_t stream);

}  // namespace awq

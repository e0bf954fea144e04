// Matrix product of int8 activations and int8 weights with fused scales and bias. Host interface, no PyTorch.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "csrc/common/device.h"
#include "csrc/common/gpu.h"

namespace awq {

// Rows of in_feats and kernel are read in units of 16 bytes.
constexpr int kW8A8KAlignElems = 16;
constexpr int kW8A8PointerAlignBytes = 16;

namespace w8a8 {
struct Configuration;
}

struct W8A8GemmParams {
  const int8_t* in_feats;  // [m, k] contiguous, 16-byte aligned
  const int8_t* kernel;    // [n, k] contiguous, 16-byte aligned
  const void* wscales;     // [n] fp16
  const void* ascales;     // [m] fp16
  const void* bias;        // [n] fp16, or null for none
  void* out_feats;         // [m, n] fp16 contiguous, written; 2-byte alignment is enough
  int64_t m;               // each of m, n, k at most 2^31 - 1
  int64_t n;               // any
  int64_t k;               // multiple of 16; 0 gives the bias or zeros
};

// The plan of a product: the kernel and the division of the work. It is valid for the sizes and the device that it was
// made for, with any pointers. If out_feats was aligned to 16 bytes for the plan, it must be so for the launch.
struct W8A8Plan {
  const w8a8::Configuration* configuration;  // null for zero rows or columns
  int splits;                                // number of parts along K
  int channels;                              // channels of a tile, for kernels that support any number
  size_t workspace_bytes;                    // scratch memory that the product needs; 0 for most sizes
  DeviceInfo device;
};

// Makes the plan for the current device. It reads no memory through the pointers in `params`. Only the alignment of
// out_feats matters. Returns cudaErrorInvalidValue for sizes outside the bounds above.
cudaError_t plan_w8a8_gemm(const W8A8GemmParams& params, W8A8Plan* plan);

// out[i, j] = (sum_k in_feats[i, k] * kernel[j, k]) * wscales[j] * ascales[i] + bias[j]
//
// The sum is exact in int32 for k < 131072 = 2^31 / 128^2. For larger k, sums of extreme values may wrap. Scales and
// bias are applied in fp32, with one rounding to fp16 at the end. Results beyond fp16's range become inf. All bits are
// the same on every run, because integer sums do not depend on their order.
//
//   plan       made for these parameters
//   workspace  16-byte aligned device memory of plan.workspace_bytes bytes, with any content; may be null for 0 bytes.
//              It may be reused when the stream has passed this call
//   stream     runs on the current device and on `stream`, never synchronizes, can be captured in a graph
//   errors     cudaErrorInvalidValue for alignments outside the bounds above or a missing workspace. Otherwise the
//              error of the launch
//   zero rows  zero rows or zero columns launch nothing
cudaError_t launch_w8a8_gemm(const W8A8GemmParams& params, const W8A8Plan& plan, void* workspace, cudaStream_t stream);

}  // namespace awq

// Matrix product of 16-bit activations with 4-bit weights: out[m, n] = sum_k in[m, k] * w[n, k]. No PyTorch.
//
// A group is G weights along K that share one scale and one zero point. Weights are dequantized on the way to the
// multiplier, rounded once to the activations' type, and never stored. Sums are fp32, rounded once at the end.
//
// Two packings of weights exist, called layouts. A layout has a single launch function, because the number of rows
// selects the kernel. The gemv and gemm entry points of the API differ in their checks, not in their results.
//
// Common to all functions
//   pointers   device memory of the current device, owned by the caller. `in`, `weights`, `scales`, `zeros`, `out` and
//              `workspace` are 16-byte aligned, and contiguous except for the named strides. `out` overlaps nothing
//   plan       made by the plan function for these sizes, this type and the current device. The plan function checks
//              them and looks at no pointer
//   workspace  the plan's workspace_bytes, with any content; may be null if that is 0
//   sizes      m >= 0; n >= 4, a multiple of 4; k a multiple of 64 and of group_size; group_size as stated per layout
//   stream     all work is queued on it, without synchronization or allocation. It can be captured in a graph
//   errors     cudaErrorInvalidValue for sizes, a group size or a dtype that are not supported (plan), or for a missing
//              workspace (launch). Otherwise the launch's own error
//   zero rows  m == 0 succeeds without a launch
//   repeats    the same input gives the same bits
//   constant   `constant_weights` states that the previous kernel in the stream writes none of `weights`, `scales` and
//              `zeros`. On Hopper their first loads then run before that kernel has ended. False is always correct.
//              True is wrong only if weights are made or moved directly before the product
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "csrc/common/device.h"
#include "csrc/common/dtype.h"

namespace awq {

namespace w4a16 {
struct Configuration;
}

// The plan of a product: the kernel, and the number of parts along K.
struct W4A16Plan {
  const w4a16::Configuration* configuration;  // null for zero rows
  int splits;
  size_t workspace_bytes;
  DeviceInfo device;
};

// Layout v2: w[n, k] = scales[k / G, n] * q[n, k] + zeros[k / G, n], where `zeros` is -scale * zero_point.
//
// One 128-byte line of `weights` has four rows n = 4a .. 4a+3 by 64 columns. Lines follow one another along K, then
// along N. Within a line, row r is in bytes 32r .. 32r+31: two runs of 32 columns, 16 bytes each. Word j of a run is a
// 32-bit integer. It has the columns that lane j of a quad needs for two m16n8k16 products:
//   bits    31..28   27..24   23..20   19..16   15..12   11..8    7..4     3..0
//   column  2j+25    2j+17    2j+9     2j+1     2j+24    2j+16    2j+8     2j
struct W4A16V2Params {
  const void* in;          // dtype [m, k]
  const int16_t* weights;  // [n / 4, k], as above
  const void* scales;      // dtype [>= k / group_size, n]; further rows are padding and never read
  const void* zeros;       // dtype, same shape as scales
  void* out;               // dtype [m, n]
  int64_t m, n, k;
  int group_size;  // 32, 64 or a multiple of 128
  DType dtype;     // kFloat16; kBFloat16 if compiled in (sm_80 or later)
  bool constant_weights;
};

cudaError_t plan_w4a16_v2(const W4A16V2Params& params, W4A16Plan* plan);
cudaError_t launch_w4a16_v2(const W4A16V2Params& params, const W4A16Plan& plan, void* workspace, cudaStream_t stream);

// Layout v1, fp16 only: w[n, k] = scales[n, k / G] * (q[n, k] - zero_point[n, k / G]).
//
// Nibble i of word j in row n, lowest first, is q[n, 8j + i] in `weights` and zero_point[n, 8j + i] in `zeros`.
struct W4A16V1Params {
  const void* in;          // fp16 [m, k]
  const int32_t* weights;  // [n, k / 8]
  const void* scales;      // fp16 [n, k / group_size], rows scales_row_stride_elems apart
  const int32_t* zeros;    // [n, ceil(k / group_size / 8)], rows zeros_row_stride_elems apart
  void* out;               // fp16 [m, n]
  int64_t m, n, k;
  int64_t scales_row_stride_elems;  // in fp16 elements, >= k / group_size
  int64_t zeros_row_stride_elems;   // in int32 words, >= ceil(k / group_size / 8)
  int group_size;                   // 64 or a multiple of 128
  bool constant_weights;
};

cudaError_t plan_w4a16_v1(const W4A16V1Params& params, W4A16Plan* plan);
cudaError_t launch_w4a16_v1(const W4A16V1Params& params, const W4A16Plan& plan, void* workspace, cudaStream_t stream);

}  // namespace awq

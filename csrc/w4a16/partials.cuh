// Addition of the partial sums of the blocks that share a sum over K.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/common/device.h"
#include "csrc/w4a16/args.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {

// Tags that give each library its own kernel. The libraries are built for different architectures. If their kernels had
// the same name, the linker would keep only one, and the code of the other would be missing at run time.
struct OnEveryGpu;
struct OnHopper;

// out = the partial sums added in the order of the splits, four channels per thread.
template <class T, class Where>
__global__ void __launch_bounds__(256) add_partials_kernel(const __grid_constant__ Args args) {
  const int64_t size = args.m * args.n;
  const int64_t offset = 4 * (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  if (offset >= size) return;
  float4 sum = {};
  for (int split = 0; split < args.splits; ++split) {
    const float4 part = *reinterpret_cast<const float4*>(args.partials + split * size + offset);
    sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
  }
  *reinterpret_cast<uint2*>(static_cast<T*>(args.out) + offset) = {narrow_pair<T>(sum.x, sum.y),
                                                                   narrow_pair<T>(sum.z, sum.w)};
}

// Launches the addition. The launch follows that of the kernel that writes the partial sums.
template <class T, class Where>
cudaError_t launch_add_partials(const Args& args, cudaStream_t stream) {
  constexpr int kThreads = 256, kPerBlock = 4 * kThreads;
  const int64_t blocks = ceil_div(args.m * args.n, kPerBlock);
  add_partials_kernel<T, Where><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(args);
  return checked_launch();
}

}  // namespace awq::w4a16

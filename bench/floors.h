// What reading costs on a GPU: the benchmark's floor for kernels bound by memory. Host interface.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace awq::bench {

// Reads `bytes` (a multiple of 16) at `data`, 16-byte aligned, and computes nothing with them. The launch overlaps with
// the end of the kernel before in the stream; if `early`, the first loads do not wait for that end.
cudaError_t launch_read(const void* data, size_t bytes, bool early, cudaStream_t stream);

}  // namespace awq::bench

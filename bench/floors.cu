#include "bench/floors.h"

#include "csrc/common/device.h"
#include "csrc/common/launch.cuh"
#include "csrc/common/ptx.cuh"

namespace awq::bench {

constexpr int kReadThreads = 512, kReadBlocksPerSm = 2;
constexpr int kLoadsAhead = 8;  // of a thread: 128 KB of a multiprocessor's are under way

template <bool kEarly>
__global__ void __launch_bounds__(kReadThreads, kReadBlocksPerSm) read_kernel(const uint4* data, size_t count) {
  const size_t stride = static_cast<size_t>(gridDim.x) * kReadThreads;
  size_t at = static_cast<size_t>(blockIdx.x) * kReadThreads + threadIdx.x;
  const auto load = [&](size_t i) { return i < count ? ptx::load_streaming_16(data + i) : make_uint4(0, 0, 0, 0); };
  if constexpr (!kEarly) ptx::wait_for_previous_kernel();
  uint4 ring[kLoadsAhead];
#pragma unroll
  for (int i = 0; i < kLoadsAhead; ++i) ring[i] = load(at + i * stride);
  if constexpr (kEarly) ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  uint32_t bits = 0;
  for (; at < count; at += kLoadsAhead * stride) {
#pragma unroll
    for (int i = 0; i < kLoadsAhead; ++i) {
      bits |= ring[i].x ^ ring[i].y ^ ring[i].z ^ ring[i].w;
      ring[i] = load(at + (kLoadsAhead + i) * stride);
    }
  }
  asm volatile("" ::"r"(bits));  // the loads stay
}

cudaError_t launch_read(const void* data, size_t bytes, bool early, cudaStream_t stream) {
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  const LaunchShape shape = {static_cast<unsigned>(kReadBlocksPerSm * device.sm_count), kReadThreads};
  const auto* vectors = static_cast<const uint4*>(data);
  return early ? launch_overlapping(read_kernel<true>, shape, stream, vectors, bytes / sizeof(uint4))
               : launch_overlapping(read_kernel<false>, shape, stream, vectors, bytes / sizeof(uint4));
}

}  // namespace awq::bench

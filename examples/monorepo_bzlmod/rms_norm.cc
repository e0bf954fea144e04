// Calls one family of kernels from C++ alone: no PyTorch, no Python.

#include "csrc/norm/norm.h"

#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

constexpr int kTokens = 4;
constexpr int kChannels = 1024;

bool ok(cudaError_t error, const char* what) {
  if (error != cudaSuccess) std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  return error == cudaSuccess;
}

// Normalizes rows of one value each: every result is then that value's sign.
bool normalize_on_gpu() {
  std::vector<float> input(kTokens * kChannels), gamma(kChannels, 1.0f), out(kTokens * kChannels);
  for (int i = 0; i < kTokens * kChannels; ++i) input[i] = (i / kChannels % 2 ? -1.0f : 1.0f) * (1 + i / kChannels);
  const size_t bytes = input.size() * sizeof(float);
  float *device_input, *device_gamma, *device_out;
  if (!ok(cudaMalloc(reinterpret_cast<void**>(&device_input), bytes), "cudaMalloc")) return false;
  if (!ok(cudaMalloc(reinterpret_cast<void**>(&device_gamma), kChannels * sizeof(float)), "cudaMalloc")) return false;
  if (!ok(cudaMalloc(reinterpret_cast<void**>(&device_out), bytes), "cudaMalloc")) return false;
  cudaMemcpy(device_input, input.data(), bytes, cudaMemcpyHostToDevice);
  cudaMemcpy(device_gamma, gamma.data(), kChannels * sizeof(float), cudaMemcpyHostToDevice);

  awq::RmsNormParams params{};
  params.input = device_input;
  params.gamma = device_gamma;
  params.out = device_out;
  params.tokens = kTokens;
  params.channels = kChannels;
  params.eps = 1e-6f;
  params.dtype = awq::DType::kFloat32;
  if (!ok(awq::launch_rms_norm(params, /*stream=*/nullptr), "launch_rms_norm")) return false;
  if (!ok(cudaMemcpy(out.data(), device_out, bytes, cudaMemcpyDeviceToHost), "the kernel")) return false;
  for (int i = 0; i < kTokens * kChannels; ++i) {
    const float expected = input[i] > 0 ? 1.0f : -1.0f;
    if (std::fabs(out[i] - expected) > 1e-3f) {
      std::fprintf(stderr, "out[%d] is %f, expected %f\n", i, out[i], expected);
      return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  if (!normalize_on_gpu()) return 1;
  std::printf("%d rows of %d values normalized\n", kTokens, kChannels);
  return 0;
}

// Calls one family of kernels from C++ alone: no PyTorch, no Python.

#include "csrc/quantization/quantization.h"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

constexpr int kChannels = 256;

bool ok(cudaError_t error, const char* what) {
  if (error != cudaSuccess) std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  return error == cudaSuccess;
}

// Quantizes the row 0, 1, ..., 127, 0, -1, ..., -127, whose scale is 1: every value is then its own code.
bool quantize_on_gpu() {
  std::vector<float> input(kChannels);
  for (int i = 0; i < kChannels; ++i) input[i] = static_cast<float>(i < 128 ? i : 128 - i);
  std::vector<int8_t> out(kChannels);
  void *device_input, *device_out, *device_scale;
  if (!ok(cudaMalloc(&device_input, kChannels * sizeof(float)), "cudaMalloc")) return false;
  if (!ok(cudaMalloc(&device_out, kChannels), "cudaMalloc")) return false;
  if (!ok(cudaMalloc(&device_scale, sizeof(uint16_t)), "cudaMalloc")) return false;
  cudaMemcpy(device_input, input.data(), kChannels * sizeof(float), cudaMemcpyHostToDevice);

  awq::PerTokenQuantParams params{};
  params.out = static_cast<int8_t*>(device_out);
  params.input = device_input;
  params.scale = device_scale;
  params.tokens = 1;
  params.channels = kChannels;
  params.dtype = awq::DType::kFloat32;
  if (!ok(awq::launch_per_token_quant(params, /*stream=*/nullptr), "launch_per_token_quant")) return false;
  if (!ok(cudaMemcpy(out.data(), device_out, kChannels, cudaMemcpyDeviceToHost), "the kernel")) return false;
  for (int i = 0; i < kChannels; ++i) {
    if (out[i] != static_cast<int8_t>(input[i])) {
      std::fprintf(stderr, "out[%d] is %d, expected %d\n", i, out[i], static_cast<int>(input[i]));
      return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  if (!quantize_on_gpu()) return 1;
  std::printf("a row of %d values quantized\n", kChannels);
  return 0;
}

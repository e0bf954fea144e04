// The family's configurations and the choice among them. Host code, for dispatch.cc, the benchmarks and the tests.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/device.h"
#include "csrc/w8a8/tiles.h"
#include "csrc/w8a8/w8a8.h"

namespace awq::w8a8 {

// A kernel with one tile, and its requirements on the device. Kernels for any architecture serve every problem.
struct Configuration {
  const char* name;
  int channels, tokens;  // tile of a block; if `narrows`, the maximum of channels
  int stage_k;           // bytes of K that a block fetches at a time
  int blocks_per_sm;     // blocks that run on a multiprocessor at a time
  int smem_bytes;        // shared memory that a block needs
  Launch launch;
  int arch = 0;          // required architecture; 0: any
  bool narrows = false;  // waves are filled by tiles of fewer channels; if false, by a split along K
};

// All configurations of the build.
std::vector<const Configuration*> configurations();

// Makes the plan that the tables choose for a device. The device need not be in this machine. Returns
// cudaErrorInvalidValue for parameters that w8a8.h excludes.
cudaError_t plan(const W8A8GemmParams& params, const DeviceInfo& device, W8A8Plan* plan);

// Makes the plan for a given configuration and number of waves. Also returns cudaErrorInvalidValue if the configuration
// cannot serve the problem.
cudaError_t plan_with(const Configuration& configuration, int waves, const W8A8GemmParams& params,
                      const DeviceInfo& device, W8A8Plan* plan);

}  // namespace awq::w8a8

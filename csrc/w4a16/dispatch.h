// The family's configurations and the choice among them. Host code, for dispatch.cc, the benchmarks and the tests.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/tuning.h"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/w4a16.h"

namespace awq::w4a16 {

enum Variant { kV2Fp16, kV2Bf16, kV1Fp16, kVariants };

// A kernel with one tile, and its requirements on the problem and the device.
struct Configuration {
  const char* name;
  int channels, tokens;      // tile of a block
  int blocks_per_sm;         // blocks that run on a multiprocessor at a time
  Launch launch[kVariants];  // null if the build has no kernel for the variant
  int64_t max_m = kAny;
  int64_t min_n = 1;
  int n_multiple = 4;
  int smem_bytes = 0;     // shared memory that a block needs
  int arch = 0;           // required architecture; 0: any
  bool splits_k = false;  // blocks may share out K if there are few tiles; this needs a second kernel
  bool (*fits)(const Args&, int64_t max_smem_bytes_per_block) = nullptr;  // further requirements; null: none
};

// All configurations of the build.
std::vector<const Configuration*> configurations();

// Makes the plan that the tables choose for a device. The device need not be in this machine. Returns
// cudaErrorInvalidValue for parameters that w4a16.h excludes.
cudaError_t plan(const W4A16V2Params& params, const DeviceInfo& device, W4A16Plan* plan);
cudaError_t plan(const W4A16V1Params& params, const DeviceInfo& device, W4A16Plan* plan);

// Makes the plan for a given configuration and number of waves. Also returns cudaErrorInvalidValue if the configuration
// cannot serve the problem.
cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V2Params& params,
                      const DeviceInfo& device, W4A16Plan* plan);
cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V1Params& params,
                      const DeviceInfo& device, W4A16Plan* plan);

}  // namespace awq::w4a16

// The family's configurations and the choice among them. Host code, for dispatch.cc and for what measures and tests it.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/tuning.h"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/w4a16.h"

namespace awq::w4a16 {

enum Variant { kV2Fp16, kV2Bf16, kV1Fp16, kVariants };

// A kernel of some tile, and which problems and devices it can serve.
struct Configuration {
  const char* name;
  int channels, tokens;      // tile of a block
  int blocks_per_sm;         // that run at a time
  Launch launch[kVariants];  // null where the build has no kernel
  int64_t max_m = kAny;
  int64_t min_n = 1;
  int n_multiple = 4;
  int smem_bytes = 0;     // that a block must be able to have,
  int arch = 0;           // on this architecture, or 0 for any,
  bool splits_k = false;  // few tiles may share out K over blocks, at the price of a second kernel
  bool (*fits)(const Args&, int64_t max_smem_bytes_per_block) = nullptr;  // and what else the kernel asks for
};

// All that the build has.
std::vector<const Configuration*> configurations();

// What the tables choose on a device, which need not be one of this machine. cudaErrorInvalidValue where the contract
// of w4a16.h refuses the parameters.
cudaError_t plan(const W4A16V2Params& params, const DeviceInfo& device, W4A16Plan* plan);
cudaError_t plan(const W4A16V1Params& params, const DeviceInfo& device, W4A16Plan* plan);

// The same with the choice made. cudaErrorInvalidValue, too, where the configuration cannot serve the problem.
cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V2Params& params,
                      const DeviceInfo& device, W4A16Plan* plan);
cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V1Params& params,
                      const DeviceInfo& device, W4A16Plan* plan);

}  // namespace awq::w4a16

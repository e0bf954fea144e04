// The family's configurations and the choice among them. Host code, for dispatch.cc and for what measures and tests it.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/device.h"
#include "csrc/w8a8/tiles.h"
#include "csrc/w8a8/w8a8.h"

namespace awq::w8a8 {

// A kernel of some tile, and which devices it can serve. All but those of one architecture take every problem.
struct Configuration {
  const char* name;
  int channels, tokens;  // tile of a block; where `narrows`, at most so many channels
  int stage_k;           // bytes of K that a block fetches at a time
  int blocks_per_sm;     // that run at a time
  int smem_bytes;        // that a block must be able to have
  Launch launch;
  int arch = 0;          // the only one it runs on, or 0
  bool narrows = false;  // waves are filled by tiles of fewer channels, else by sharing out K
};

// All that the build has.
std::vector<const Configuration*> configurations();

// What the tables choose on a device, which need not be one of this machine. cudaErrorInvalidValue where the contract
// of w8a8.h refuses the parameters.
cudaError_t plan(const W8A8GemmParams& params, const DeviceInfo& device, W8A8Plan* plan);

// The same with the choice made. cudaErrorInvalidValue, too, where the configuration cannot serve the problem.
cudaError_t plan_with(const Configuration& configuration, int waves, const W8A8GemmParams& params,
                      const DeviceInfo& device, W8A8Plan* plan);

}  // namespace awq::w8a8

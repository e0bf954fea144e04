// The int8 product on Hopper: its configurations and launch. Host code. The kernel is a library of its own, built for
// sm_90a alone by CUDA 12.0 or later; AWQ_W8A8_SM90 tells configurations.h whether the build has it.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "csrc/common/gpu.h"
#include "csrc/w8a8/w8a8.h"

namespace awq::w8a8 {

// A block computes tiles of up to kMaxChannels by kTokens: each of its multiplying warpgroups (128 threads) 64
// kRowTiles channels. A stage of its ring holds kLines times 128 bytes of every row.
template <int kTokens_, int kRowTiles_, int kConsumers_, int kLines_>
struct GemmSm90Config {
  static constexpr int kTokens = kTokens_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kConsumers = kConsumers_;  // warpgroups that multiply; one more fills the stages
  static constexpr int kLines = kLines_;
  static constexpr int kTileK = kLines * kLineBytes;

  static constexpr int kConsumerThreads = kConsumers * kWarpgroupThreads;
  static constexpr int kThreads = kConsumerThreads + kWarpgroupThreads;
  static constexpr int kWarpgroupChannels = 64 * kRowTiles;
  static constexpr int kMaxChannels = kConsumers * kWarpgroupChannels;

  // Results leave by way of two buffers per warpgroup, 64 channels by kResultTokens each.
  static constexpr int kResultTokens = std::min(kTokens, 64);
  static constexpr int kResultBytes = kConsumers * 2 * kResultTokens * 64 * 2;
  static constexpr int kScaleBytes = kConsumers * kTokens * 4;
  static constexpr int kMaxStages = 32;
  static constexpr int kBarrierBytes = 2 * kMaxStages * 8;
  static constexpr int kSmemBytes = kSm90SmemBytes;  // all that there is

  static constexpr int stage_bytes(int channels) { return (channels + kTokens) * kTileK; }

  // What fits. A product reads 64 kRowTiles rows of weights whether they are there or not, in the last stage past its
  // end: that has to be shared memory, too.
  static constexpr int stages(int channels) {
    const int room = kSmemBytes - kResultBytes - kScaleBytes - kBarrierBytes - (kMaxChannels - channels) * 128;
    return std::min(kMaxStages, room / stage_bytes(channels));
  }
  static_assert(stages(kMaxChannels) >= 3, "too few to hide the copies");
};

//                                        tokens, row tiles, warpgroups, lines
using GemmSm90Tokens16 = GemmSm90Config<16, 1, 1, 2>;
using GemmSm90Tokens16Wide = GemmSm90Config<16, 2, 1, 2>;
using GemmSm90Tokens32 = GemmSm90Config<32, 1, 1, 2>;
using GemmSm90Tokens32Wide = GemmSm90Config<32, 2, 1, 2>;
using GemmSm90Tokens64 = GemmSm90Config<64, 1, 1, 2>;
using GemmSm90Tokens64Wide = GemmSm90Config<64, 1, 2, 1>;
using GemmSm90Tokens128 = GemmSm90Config<128, 1, 2, 1>;
using GemmSm90Tokens256 = GemmSm90Config<256, 1, 2, 1>;

// out = in * kernel^T scaled, see w8a8.h. Tiles have `channels` channels, a multiple of 8 up to kMaxChannels: where
// there are few, that shares out the reading of the weights evenly over the multiprocessors. Needs a device of sm_90, n
// that is a multiple of 8, an output that is 16-byte aligned, at least one row, column and k, and sizes and numbers of
// tiles up to 2^30.
template <class Config>
cudaError_t launch_gemm_sm90(const W8A8GemmParams& params, int channels, cudaStream_t stream);

}  // namespace awq::w8a8

// The many-row kernel for Hopper: its configurations and launch. Host code. The kernel is a library of its own, built
// for sm_90a alone by CUDA 12.0 or later; AWQ_W4A16_SM90 tells configurations.h whether the build has it.
#pragma once

#include <cuda_runtime_api.h>

#include "csrc/common/gpu.h"
#include "csrc/w4a16/args.h"

namespace awq::w4a16 {

// Tiles: a warpgroup (128 threads) computes 64 kRowTiles channels by kTokens, a block twice as many channels.
template <int kTokens_, int kRowTiles_, int kStages_>
struct GemmSm90Config {
  static constexpr int kTokens = kTokens_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kStages = kStages_;
  static constexpr int kBlocksPerSm = 1;

  static constexpr int kConsumers = 2;  // warpgroups that multiply; one more fills the stages
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroupThreads;
  static constexpr int kChannels = kConsumers * 64 * kRowTiles;

  static constexpr int kStageBytes = kTokens * kTileK * 2 + kChannels * kTileK / 2 + 2 * 2 * kChannels * 2;
  static constexpr int kResultBytes = kTokens * kChannels * 2;
  static constexpr int kBarrierBytes = 1024;  // and the padding after them
  static constexpr int kSmemBytes = kStages * kStageBytes + kResultBytes + kBarrierBytes;
  static_assert(kSmemBytes <= kSm90SmemBytes, "what a block can have");
};

// 256 channels or, where that leaves multiprocessors without a tile, 128.
using GemmSm90Tokens16 = GemmSm90Config<16, 2, 16>;
using GemmSm90Tokens32 = GemmSm90Config<32, 2, 14>;
using GemmSm90Tokens64 = GemmSm90Config<64, 2, 10>;
using GemmSm90Tokens64Narrow = GemmSm90Config<64, 1, 14>;
using GemmSm90Tokens128 = GemmSm90Config<128, 2, 6>;
using GemmSm90Tokens128Narrow = GemmSm90Config<128, 1, 8>;
using GemmSm90Tokens256 = GemmSm90Config<256, 1, 4>;

// Needs a device of sm_90 and n that is a multiple of 8. Instantiated for T = half with both layouts and, where
// compiled in, bfloat16 with layout v2.
template <class Config, class T, class Layout>
cudaError_t launch_gemm_sm90(const Args& args, cudaStream_t stream);

}  // namespace awq::w4a16

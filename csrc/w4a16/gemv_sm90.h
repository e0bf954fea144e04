// The few-row kernel for Hopper: its configurations and launch. Host code. Part of the library of gemm_sm90.h.
#pragma once

#include <cuda_runtime_api.h>

#include "csrc/w4a16/args.h"

namespace awq::w4a16 {

// kParts parts of K lie side by side in an mma, for up to 8 / kParts tokens.
template <int kParts_>
struct GemvSm90Config {
  static constexpr int kParts = kParts_;
  static constexpr int kTokens = 8 / kParts;
  static constexpr int kChannels = 16;   // of a tile
  static constexpr int kWarps = 8;       // share out K
  static constexpr int kStages = 3;      // tiles of weights, 32 KB each
  static constexpr int kScaleTiles = 3;  // tiles whose scales are there or on their way
  static constexpr int kBlocksPerSm = 2;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kMaxK = 512 * kWarps;
  static constexpr int kMaxSmemBytes = 113 * 1024;  // half of an SM's 228 KB, less what the system takes

  // The warps' sums of some tiles, with a row's padding such that a warp's stores meet different banks.
  static constexpr int kSumStride = kChannels + 4;
  static constexpr int kSumFloats = 2 * kWarps * 8 * kSumStride;

  static bool fits(const Args& args, int64_t) {
    return args.n % kChannels == 0 && args.k <= kMaxK && args.runs_per_group % 4 == 0;
  }
};

using GemvSm90Tokens2 = GemvSm90Config<4>;
using GemvSm90Tokens4 = GemvSm90Config<2>;
using GemvSm90Tokens8 = GemvSm90Config<1>;

// Needs a device of sm_90. Instantiated for layout v2 and T = half or, where compiled in, bfloat16.
template <class Config, class T, class Layout>
cudaError_t launch_gemv_sm90(const Args& args, cudaStream_t stream);

}  // namespace awq::w4a16

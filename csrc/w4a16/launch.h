// The configurations of the family's kernels and the launches the dispatch table chooses from. Host code.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "csrc/common/device.h"
#include "csrc/common/gpu.h"
#include "csrc/w4a16/args.h"

namespace awq::w4a16 {

template <int kWarps_, int kTokenTiles_, int kBlocksPerSm_, int kStepsAhead_>
struct GemvConfig {
  static constexpr int kWarps = kWarps_;            // share out K
  static constexpr int kTokenTiles = kTokenTiles_;  // of 8 tokens
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;  // of each warp: 2 KB of weights under way, 24 registers
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kChannels = 32;
  static constexpr int kTokens = 8 * kTokenTiles;
  static constexpr int kAccumulators = 2 * 4 * kTokenTiles;  // fp32 sums of a lane
};

template <int kWarps_, int kTokens_, int kBlocksPerSm_, int kStepsAhead_, bool kShareActivations_>
struct PersistentGemvConfig {
  static constexpr int kWarps = kWarps_;  // share out K
  static constexpr int kTokens = kTokens_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;               // of each warp: 2 KB of weights, 18 registers
  static constexpr bool kShareActivations = kShareActivations_;  // by all tiles of a block, in shared memory
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kChannels = 32;
  static constexpr int kTokenTiles = kTokens / 8;
  static_assert(kTokens % 8 == 0, "whole tiles");

  // Shared memory for the activations: a row and a sum for each step and token.
  static constexpr int kRowBytes = kStepElems * 2;
  static constexpr int64_t steps(int64_t k) { return ceil_div(k, kStepElems); }
  static constexpr int64_t steps_per_warp(int64_t k) { return ceil_div(steps(k), kWarps); }
  static constexpr int64_t row_bytes(int64_t m, int64_t k) {
    return kShareActivations ? steps_per_warp(k) * kWarps * m * kRowBytes : 0;
  }
  static constexpr int64_t activation_bytes(int64_t m, int64_t k) {
    constexpr int64_t kStepSumBytes = 8 * kTokenTiles * sizeof(float);
    return row_bytes(m, k) + (kShareActivations ? steps_per_warp(k) * kWarps * kStepSumBytes : 0);
  }

  // And for the warps' sums of one tile, with a row's padding such that a warp's stores meet all banks.
  static constexpr int kSumStride = kChannels + 4;
  static constexpr int64_t tile_sum_bytes(int64_t m) { return kWarps * m * kSumStride * int64_t{sizeof(float)}; }

  // How many tiles' sums find room; the problem fits if at least one tile's do.
  static constexpr int64_t tile_sums(int64_t m, int64_t k, int64_t max_smem_bytes_per_block) {
    constexpr int kReservedBytes = 1024;  // of each block, by the system
    const int64_t bytes = (max_smem_bytes_per_block + kReservedBytes) / kBlocksPerSm - kReservedBytes;
    return (bytes - activation_bytes(m, k)) / tile_sum_bytes(m);
  }
  static constexpr int64_t kMaxSteps = 46340;  // group_of() in gemv_persistent.cuh
  static bool fits(const Args& args, int64_t max_smem_bytes_per_block) {
    return args.m <= kTokens && args.n >= kChannels && steps(args.k) <= kMaxSteps &&
           tile_sums(args.m, args.k, max_smem_bytes_per_block) >= 1;
  }
};

template <int kWarps_, int kBlocksPerSm_, int kStepsAhead_>
struct SingleRowGemvConfig {
  static constexpr int kWarps = kWarps_;  // share out K
  static constexpr int kTokens = 1;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;  // of each warp: 1 KB of weights, 10 registers
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kChannels = 16;

  static constexpr int64_t steps(int64_t k) { return k / kStepElems; }
  static constexpr int64_t steps_per_warp(int64_t k) {
    return std::max<int64_t>(ceil_div(steps(k), kWarps), kStepsAhead);
  }
  static constexpr int64_t row_bytes(int64_t k) { return steps_per_warp(k) * kWarps * kStepElems * 2; }
  static bool fits(const Args& args, int64_t) {
    constexpr int64_t kMaxRowBytes = 46 * 1024;  // with the sums, what a block gets without asking for more
    return args.runs_per_group % 4 == 0 && row_bytes(args.k) <= kMaxRowBytes;
  }
};

// Tiles: a warp computes 16 kRowTiles channels by 8 kColumnTiles tokens, a block kWarpRows by kWarpColumns of these.
template <int kWarpRows_, int kWarpColumns_, int kRowTiles_, int kColumnTiles_, int kStages_, int kBlocksPerSm_>
struct GemmConfig {
  static constexpr int kWarpRows = kWarpRows_;
  static constexpr int kWarpColumns = kWarpColumns_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kColumnTiles = kColumnTiles_;
  static constexpr int kStages = kStages_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kThreads = 32 * kWarpRows * kWarpColumns;
  static constexpr int kWarpChannels = 16 * kRowTiles;
  static constexpr int kWarpTokens = 8 * kColumnTiles;
  static constexpr int kChannels = kWarpRows * kWarpChannels;
  static constexpr int kTokens = kWarpColumns * kWarpTokens;
  static constexpr int kSmemBytes = kStages * (kTokens * kTileK * 2 + kChannels * kTileK / 2 + 2 * 2 * kChannels * 2);
  static_assert(kRowTiles == 2 || kRowTiles == 4, "a lane's channels must be one or two whole lines");
  static_assert(kStages >= 3, "a stage is filled while another is read and a third is waited for");
};

// By activation rows, and by what fills an SM: many small blocks, whose starts and ends overlap, or one large one.
using Gemv8Small = GemvConfig<4, 1, 4, 2>;
using Gemv8Medium = GemvConfig<8, 1, 2, 2>;
using Gemv8Large = GemvConfig<16, 1, 1, 2>;
// One row of activations.
using SingleRowGemv = SingleRowGemvConfig<16, 2, 2>;
// Blocks that stay and keep the activations, or, where K is too long for that, read them again.
using PersistentGemv16 = PersistentGemvConfig<16, 16, 1, 1, true>;
using PersistentGemv16LongK = PersistentGemvConfig<16, 16, 1, 1, false>;

using Gemm32 = GemmConfig<4, 1, 2, 4, 5, 2>;   // 128 channels x 32 tokens
using Gemm64 = GemmConfig<4, 1, 2, 8, 4, 2>;   // 128 channels x 64 tokens
using Gemm128 = GemmConfig<2, 2, 4, 8, 3, 2>;  // 128 channels x 128 tokens
static_assert(Gemm64::kSmemBytes <= kLeastSmemBytes, "the tile that every supported GPU can hold");

// Each is instantiated for T = half with both layouts and, where compiled in, bfloat16 with layout v2.
template <class Config, class T, class Layout>
cudaError_t launch_gemv(const Args& args, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_single_row_gemv(const Args& args, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_persistent_gemv(const Args& args, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_gemm(const Args& args, cudaStream_t stream);

}  // namespace awq::w4a16

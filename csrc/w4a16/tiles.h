// The tiles of the family: their descriptions, and the only lists of them. Host and device.
//
// To add a tile, add a line to a list. Its type, its row in configurations.h and its instantiations come from there.
// Then run //bench:tune, which measures the problems that it serves best (tuning_table.h).
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "csrc/common/device.h"
#include "csrc/common/gpu.h"
#include "csrc/w4a16/args.h"

namespace awq::w4a16 {

// ---- few rows: gemv*.cuh --------------------------------------------------------------------------------------------

template <int kWarps_, int kTokenTiles_, int kBlocksPerSm_, int kStepsAhead_>
struct GemvConfig {
  static constexpr int kWarps = kWarps_;            // warps that share out K
  static constexpr int kTokenTiles = kTokenTiles_;  // tiles of 8 tokens
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;  // steps in flight per warp: 2 KB of weights, 24 registers
  static constexpr int kThreads = kWarpSize * kWarps;
  static constexpr int kChannels = 32;
  static constexpr int kTokens = 8 * kTokenTiles;
  static constexpr int kAccumulators = 2 * 4 * kTokenTiles;  // fp32 sums of a lane
};

template <int kWarps_, int kTokens_, int kBlocksPerSm_, int kStepsAhead_, bool kShareActivations_>
struct PersistentGemvConfig {
  static constexpr int kWarps = kWarps_;  // warps that share out K
  static constexpr int kTokens = kTokens_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;               // in flight per warp: 2 KB of weights, 18 registers
  static constexpr bool kShareActivations = kShareActivations_;  // all tiles of a block share them in shared memory
  static constexpr int kThreads = kWarpSize * kWarps;
  static constexpr int kChannels = 32;
  static constexpr int kTokenTiles = kTokens / 8;
  static_assert(kTokens % 8 == 0, "whole tiles");

  // Shared memory for the activations: one row and one sum for each step and token.
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

  // Shared memory for the warps' sums of one tile. The padding of the rows spreads the stores of a warp over all banks.
  static constexpr int kSumStride = kChannels + 4;
  static constexpr int64_t tile_sum_bytes(int64_t m) { return kWarps * m * kSumStride * int64_t{sizeof(float)}; }

  // The number of tiles whose sums have room. The problem fits if this is at least one.
  static constexpr int64_t tile_sums(int64_t m, int64_t k, int64_t max_smem_bytes_per_block) {
    constexpr int kReservedBytes = 1024;  // the system reserves these in each block
    const int64_t bytes = (max_smem_bytes_per_block + kReservedBytes) / kBlocksPerSm - kReservedBytes;
    return (bytes - activation_bytes(m, k)) / tile_sum_bytes(m);
  }
  static constexpr int64_t kMaxSteps = 46340;  // group_of() in weights.cuh
  static bool fits(const Args& args, int64_t max_smem_bytes_per_block) {
    return args.m <= kTokens && args.n >= kChannels && steps(args.k) <= kMaxSteps &&
           tile_sums(args.m, args.k, max_smem_bytes_per_block) >= 1;
  }
};

template <int kWarps_, int kBlocksPerSm_, int kStepsAhead_>
struct SingleRowGemvConfig {
  static constexpr int kWarps = kWarps_;  // warps that share out K
  static constexpr int kTokens = 1;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kStepsAhead = kStepsAhead_;  // steps in flight per warp: 1 KB of weights, 10 registers
  static constexpr int kThreads = kWarpSize * kWarps;
  static constexpr int kChannels = 16;

  static constexpr int64_t steps(int64_t k) { return k / kStepElems; }
  static constexpr int64_t steps_per_warp(int64_t k) {
    return std::max<int64_t>(ceil_div(steps(k), kWarps), kStepsAhead);
  }
  static constexpr int64_t row_bytes(int64_t k) { return steps_per_warp(k) * kWarps * kStepElems * 2; }
  static bool fits(const Args& args, int64_t) {
    constexpr int64_t kMaxRowBytes = 46 * 1024;  // with the sums, the default shared memory of a block
    return args.runs_per_group % kStepRuns == 0 && row_bytes(args.k) <= kMaxRowBytes;
  }
};

// An mma has kParts parts of K side by side, for up to 8 / kParts tokens.
template <int kParts_>
struct GemvSm90Config {
  static constexpr int kParts = kParts_;
  static constexpr int kTokens = 8 / kParts;
  static constexpr int kChannels = 16;   // channels of a tile
  static constexpr int kWarps = 8;       // warps that share out K
  static constexpr int kStages = 3;      // tiles of weights, 32 KB each
  static constexpr int kScaleTiles = 3;  // tiles whose scales are loaded or in flight
  static constexpr int kBlocksPerSm = 2;
  static constexpr int kThreads = kWarpSize * kWarps;
  static constexpr int kMaxK = 512 * kWarps;
  static constexpr int kMaxSmemBytes = 113 * 1024;  // half of an SM's 228 KB, less the part of the system

  // The warps' sums of some tiles. The padding of the rows makes the stores of a warp use different banks.
  static constexpr int kSumStride = kChannels + 4;
  static constexpr int kSumFloats = 2 * kWarps * 8 * kSumStride;

  static bool fits(const Args& args, int64_t) {
    return args.n % kChannels == 0 && args.k <= kMaxK && args.runs_per_group % kStepRuns == 0;
  }
};

// X(type, kernel, configuration): launch_<kernel><type, T, Layout> computes it.
// The tiles differ in the number of rows of activations, and in the blocks that fill an SM. An SM has many small
// blocks, whose starts and ends overlap, or one large block, or persistent blocks. Persistent blocks keep the
// activations. If K is too long for that, they read the activations again.
#define AWQ_W4A16_GEMV_TILES(X)                                                        \
  X(SingleRowGemv, single_row_gemv, SingleRowGemvConfig<16, 2, 2>)                     \
  X(SingleRowGemvSmall, single_row_gemv, SingleRowGemvConfig<8, 4, 2>)                 \
  X(PersistentGemv16, persistent_gemv, PersistentGemvConfig<16, 16, 1, 1, true>)       \
  X(PersistentGemv16LongK, persistent_gemv, PersistentGemvConfig<16, 16, 1, 1, false>) \
  X(Gemv8Small, gemv, GemvConfig<4, 1, 4, 2>)                                          \
  X(Gemv8Medium, gemv, GemvConfig<8, 1, 2, 2>)                                         \
  X(Gemv8Large, gemv, GemvConfig<16, 1, 1, 2>)

// Hopper, layout v2.
#define AWQ_W4A16_GEMV_SM90_TILES(X)               \
  X(GemvSm90Tokens2, gemv_sm90, GemvSm90Config<4>) \
  X(GemvSm90Tokens4, gemv_sm90, GemvSm90Config<2>) \
  X(GemvSm90Tokens8, gemv_sm90, GemvSm90Config<1>)

// ---- many rows: gemm*.cuh -------------------------------------------------------------------------------------------

// A warp computes 16 kRowTiles channels by 8 kColumnTiles tokens. A block has kWarpRows by kWarpColumns warps.
template <int kWarpRows_, int kWarpColumns_, int kRowTiles_, int kColumnTiles_, int kStages_, int kBlocksPerSm_>
struct GemmConfig {
  static constexpr int kWarpRows = kWarpRows_;
  static constexpr int kWarpColumns = kWarpColumns_;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kColumnTiles = kColumnTiles_;
  static constexpr int kStages = kStages_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kThreads = kWarpSize * kWarpRows * kWarpColumns;
  static constexpr int kWarpChannels = 16 * kRowTiles;
  static constexpr int kWarpTokens = 8 * kColumnTiles;
  static constexpr int kChannels = kWarpRows * kWarpChannels;
  static constexpr int kTokens = kWarpColumns * kWarpTokens;
  static constexpr int kSmemBytes = kStages * (kTokens * kTileK * 2 + kChannels * kTileK / 2 + 2 * 2 * kChannels * 2);
  static_assert(kRowTiles == 2 || kRowTiles == 4, "a lane's channels must be one or two whole lines");
  static_assert(kStages >= 3, "a stage is filled while another is read and a third is waited for");
};

// A warpgroup computes 64 kRowTiles channels by kTokens, a block twice as many channels.
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

// 128 channels by as many tokens as the name says.
#define AWQ_W4A16_GEMM_TILES(X)                 \
  X(Gemm32, gemm, GemmConfig<4, 1, 2, 4, 5, 2>) \
  X(Gemm64, gemm, GemmConfig<4, 1, 2, 8, 4, 2>) \
  X(Gemm128, gemm, GemmConfig<2, 2, 4, 8, 3, 2>)

// Hopper. 256 channels or, where that leaves multiprocessors without a tile, 128.
#define AWQ_W4A16_GEMM_SM90_TILES(X)                               \
  X(GemmSm90Tokens16, gemm_sm90, GemmSm90Config<16, 2, 16>)        \
  X(GemmSm90Tokens32, gemm_sm90, GemmSm90Config<32, 2, 14>)        \
  X(GemmSm90Tokens64, gemm_sm90, GemmSm90Config<64, 2, 10>)        \
  X(GemmSm90Tokens64Narrow, gemm_sm90, GemmSm90Config<64, 1, 14>)  \
  X(GemmSm90Tokens128, gemm_sm90, GemmSm90Config<128, 2, 6>)       \
  X(GemmSm90Tokens128Narrow, gemm_sm90, GemmSm90Config<128, 1, 8>) \
  X(GemmSm90Tokens256, gemm_sm90, GemmSm90Config<256, 1, 4>)

// ---- what comes from the lists --------------------------------------------------------------------------------------

#define AWQ_DECLARE(name, kernel, ...) using name = __VA_ARGS__;
AWQ_W4A16_GEMV_TILES(AWQ_DECLARE)
AWQ_W4A16_GEMV_SM90_TILES(AWQ_DECLARE)
AWQ_W4A16_GEMM_TILES(AWQ_DECLARE)
AWQ_W4A16_GEMM_SM90_TILES(AWQ_DECLARE)
#undef AWQ_DECLARE

static_assert(Gemm64::kSmemBytes <= kLeastSmemBytes, "the tile that every supported GPU can hold");

// Computes a product on the device that its plan was made for. There are instances for T = half with both layouts, and
// for bfloat16 with layout v2 if bfloat16 is compiled in. launch_gemv_sm90 has instances for layout v2 only.
using Launch = cudaError_t (*)(const Args&, const DeviceInfo&, cudaStream_t);

template <class Config, class T, class Layout>
cudaError_t launch_gemv(const Args& args, const DeviceInfo& device, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_single_row_gemv(const Args& args, const DeviceInfo& device, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_persistent_gemv(const Args& args, const DeviceInfo& device, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_gemv_sm90(const Args& args, const DeviceInfo& device, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_gemm(const Args& args, const DeviceInfo& device, cudaStream_t stream);
template <class Config, class T, class Layout>
cudaError_t launch_gemm_sm90(const Args& args, const DeviceInfo& device, cudaStream_t stream);

#define AWQ_W4A16_INSTANTIATE(kernel, Config, T, Layout) \
  template cudaError_t launch_##kernel<Config, T, Layout>(const Args&, const DeviceInfo&, cudaStream_t);

}  // namespace awq::w4a16

// The tiles of the family: their descriptions, and the only lists of them. Host and device.
//
// To add a tile, add a line to a list. Its type, its row in configurations.h and its instantiation come from there.
// Then run //bench:tune, which measures the problems that it serves best (tuning_table.h).
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "csrc/common/gpu.h"
#include "csrc/w8a8/w8a8.h"

namespace awq::w8a8 {

// ---- any GPU: gemm_mma.cuh ------------------------------------------------------------------------------------------

constexpr int kMmaM = 16, kMmaN = 8, kMmaK = 32;

template <int kTileM_, int kTileN_, int kTileK_, int kStages_, int kWarpsM_, int kWarpsN_, int kWarpsK_,
          int kBlocksPerSm_>
struct MmaConfig {  // tile sizes in elements, which are bytes
  static constexpr int kTileM = kTileM_, kTileN = kTileN_, kTileK = kTileK_, kStages = kStages_;
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kWarpsK = kWarpsK_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kGroupThreads = kWarpSize * kWarpsM * kWarpsN;  // threads that cover the tile once
  static constexpr int kThreads = kGroupThreads * kWarpsK;

  // One warp's part.
  static constexpr int kWarpM = kTileM / kWarpsM, kWarpN = kTileN / kWarpsN;
  static constexpr int kMmasM = kWarpM / kMmaM, kMmasN = kWarpN / kMmaN;
  static constexpr int kSums = kMmasM * kMmasN * 4;        // int32 sums of a thread
  static constexpr int kSteps = kTileK / kMmaK / kWarpsK;  // products along K per stage

  // Shared memory has the stages first. Later the same bytes have the sums of the other warps along K, then the fp16
  // output.
  static constexpr int kStageBytes = (kTileM + kTileN) * kTileK;
  static constexpr int kSumBytes = (kWarpsK - 1) * kGroupThreads * kSums * 4;
  // 16 bytes of padding shift each row by four banks. The eight rows of half2 of a warp then use different banks.
  static constexpr int kOutRowElems = kTileN + 8;
  static constexpr int kOutBytes = kTileM * kOutRowElems * 2;
  static constexpr int kSmemBytes = std::max({kStages * kStageBytes, kSumBytes, kOutBytes});

  static_assert(kTileM % (kWarpsM * kMmaM) == 0, "a warp's rows are whole products");
  static_assert(kTileN % (kWarpsN * 2 * kMmaN) == 0, "one ldmatrix brings the columns of two products");
  static_assert(kTileK % (kMmaK * kWarpsK) == 0 && kSteps >= 2, "the pipeline needs two steps per stage");
  static_assert(kTileK == 64 || kTileK % 128 == 0, "tile_offset() is made for these row lengths");
  static_assert(kStages >= 2, "one stage to read, one to fill");
  static_assert(kThreads <= 1024, "MmaConfig: too many warps");
};

// X(type, kernel, configuration): launch_<kernel><type> computes it.
// M, N and K of a tile; stages; warps along M, N and K; blocks to an SM.
#define AWQ_W8A8_MMA_TILES(X)                                     \
  X(Skinny, gemm_mma, MmaConfig<16, 32, 512, 4, 1, 2, 4, 2>)      \
  X(SkinnyWide, gemm_mma, MmaConfig<16, 128, 256, 3, 1, 4, 2, 2>) \
  X(Low, gemm_mma, MmaConfig<64, 64, 256, 3, 2, 2, 2, 2>)         \
  X(LowWide, gemm_mma, MmaConfig<64, 128, 128, 4, 1, 4, 1, 2>)    \
  X(Square, gemm_mma, MmaConfig<128, 128, 128, 3, 2, 2, 1, 2>)    \
  X(Tall, gemm_mma, MmaConfig<256, 128, 128, 4, 4, 2, 1, 1>)      \
  X(Compact, gemm_mma, MmaConfig<64, 64, 64, 4, 2, 2, 1, 2>)

// The workspace of a product that is split along K: one counter per tile, then the partial sums.
constexpr int64_t arrival_bytes(int64_t tiles) { return round_up(tiles * int64_t{sizeof(unsigned)}, kChunkBytes); }

// ---- Hopper: gemm_sm90.cuh ------------------------------------------------------------------------------------------

// A block computes tiles of up to kMaxChannels by kTokens. Each of its multiplying warpgroups (128 threads) computes 64
// kRowTiles channels. A stage of its ring has kLines times 128 bytes of every row.
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

  // Results are written through two buffers per warpgroup, 64 channels by kResultTokens each.
  static constexpr int kResultTokens = std::min(kTokens, 64);
  static constexpr int kResultBytes = kConsumers * 2 * kResultTokens * 64 * 2;
  static constexpr int kScaleBytes = kConsumers * kTokens * 4;
  static constexpr int kMaxStages = 32;
  static constexpr int kBarrierBytes = 2 * kMaxStages * 8;
  static constexpr int kSmemBytes = kSm90SmemBytes;  // the maximum of a block

  static constexpr int stage_bytes(int channels) { return (channels + kTokens) * kTileK; }

  // The number of stages that fit. A product always reads 64 kRowTiles rows of weights. In the last stage it may read
  // past the end of the stage, and these bytes must be shared memory too.
  static constexpr int stages(int channels) {
    const int room = kSmemBytes - kResultBytes - kScaleBytes - kBarrierBytes - (kMaxChannels - channels) * 128;
    return std::min(kMaxStages, room / stage_bytes(channels));
  }
  static_assert(stages(kMaxChannels) >= 3, "too few to hide the copies");
};

// Two kernels for one number of tokens. The narrow kernel has tiles of few channels.
template <class Narrow_, class Wide_ = Narrow_>
struct GemmSm90Tile {
  using Narrow = Narrow_;
  using Wide = Wide_;
  static_assert(Narrow::kTokens == Wide::kTokens && Narrow::kSmemBytes == Wide::kSmemBytes, "one configuration");
};

// Tokens; row tiles; warpgroups; lines.
#define AWQ_W8A8_SM90_TILES(X)                                                                           \
  X(GemmSm90Tokens16, gemm_sm90, GemmSm90Tile<GemmSm90Config<16, 1, 1, 2>, GemmSm90Config<16, 2, 1, 2>>) \
  X(GemmSm90Tokens32, gemm_sm90, GemmSm90Tile<GemmSm90Config<32, 1, 1, 2>, GemmSm90Config<32, 2, 1, 2>>) \
  X(GemmSm90Tokens64, gemm_sm90, GemmSm90Tile<GemmSm90Config<64, 1, 1, 2>, GemmSm90Config<64, 1, 2, 1>>) \
  X(GemmSm90Tokens128, gemm_sm90, GemmSm90Tile<GemmSm90Config<128, 1, 2, 1>>)                            \
  X(GemmSm90Tokens256, gemm_sm90, GemmSm90Tile<GemmSm90Config<256, 1, 2, 1>>)

// ---- what comes from the lists --------------------------------------------------------------------------------------

#define AWQ_DECLARE(name, kernel, ...) using name = __VA_ARGS__;
AWQ_W8A8_MMA_TILES(AWQ_DECLARE)
AWQ_W8A8_SM90_TILES(AWQ_DECLARE)
#undef AWQ_DECLARE

static_assert(Compact::kSmemBytes <= kLeastSmemBytes, "the tile that every supported GPU can hold");

// Computes a product on the device that its plan was made for.
using Launch = cudaError_t (*)(const W8A8GemmParams&, const W8A8Plan&, void* workspace, cudaStream_t);

// Uses the plan's splits, none of which is empty. Up to 2^31 - 1 tiles.
template <class Config>
cudaError_t launch_gemm_mma(const W8A8GemmParams& params, const W8A8Plan& plan, void* workspace, cudaStream_t stream);

// Tiles have the number of channels in the plan, a multiple of 8 up to kMaxChannels. If there are few tiles, this
// divides the reading of the weights evenly over the multiprocessors. Requirements: n is a multiple of 8; the output is
// 16-byte aligned; m, n and k are at least 1; sizes and numbers of tiles are at most 2^30.
template <class Tile>
cudaError_t launch_gemm_sm90(const W8A8GemmParams& params, const W8A8Plan& plan, void* workspace, cudaStream_t stream);

#define AWQ_W8A8_INSTANTIATE(name, kernel, ...) \
  template cudaError_t launch_##kernel<name>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);

}  // namespace awq::w8a8

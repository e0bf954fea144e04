// The int8 product on mma.sync, for any device: its configurations and launch. Host code.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "csrc/common/gpu.h"
#include "csrc/w8a8/w8a8.h"

namespace awq::w8a8 {

constexpr int kMmaM = 16, kMmaN = 8, kMmaK = 32;

template <int kTileM_, int kTileN_, int kTileK_, int kStages_, int kWarpsM_, int kWarpsN_, int kWarpsK_,
          int kBlocksPerSm_>
struct MmaConfig {  // tile sizes in elements, which are bytes
  static constexpr int kTileM = kTileM_, kTileN = kTileN_, kTileK = kTileK_, kStages = kStages_;
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kWarpsK = kWarpsK_;
  static constexpr int kBlocksPerSm = kBlocksPerSm_;
  static constexpr int kGroupThreads = 32 * kWarpsM * kWarpsN;  // threads that cover the tile once
  static constexpr int kThreads = kGroupThreads * kWarpsK;

  // One warp's part.
  static constexpr int kWarpM = kTileM / kWarpsM, kWarpN = kTileN / kWarpsN;
  static constexpr int kMmasM = kWarpM / kMmaM, kMmasN = kWarpN / kMmaN;
  static constexpr int kSums = kMmasM * kMmasN * 4;        // int32 sums of a thread
  static constexpr int kSteps = kTileK / kMmaK / kWarpsK;  // products along K per stage

  // Shared memory: the stages, later the same bytes hold sums of the other warps along K, then the fp16 output.
  static constexpr int kStageBytes = (kTileM + kTileN) * kTileK;
  static constexpr int kSumBytes = (kWarpsK - 1) * kGroupThreads * kSums * 4;
  // 16 bytes of padding turn the rows by four banks, so that a warp's eight rows of half2 do not collide.
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

//                         M    N    K  stages  warps M, N, K  blocks per SM
using Skinny = MmaConfig<16, 32, 512, 4, 1, 2, 4, 2>;
using SkinnyWide = MmaConfig<16, 128, 256, 3, 1, 4, 2, 2>;
using Low = MmaConfig<64, 64, 256, 3, 2, 2, 2, 2>;
using LowWide = MmaConfig<64, 128, 128, 4, 1, 4, 1, 2>;
using Square = MmaConfig<128, 128, 128, 3, 2, 2, 1, 2>;
using Tall = MmaConfig<256, 128, 128, 4, 4, 2, 1, 1>;
using Compact = MmaConfig<64, 64, 64, 4, 2, 2, 1, 2>;
static_assert(Compact::kSmemBytes <= kLeastSmemBytes, "the tile that every supported GPU can hold");

// The workspace of a product that is split along K: a counter for every tile, then partial sums.
constexpr int64_t arrival_bytes(int64_t tiles) { return round_up(tiles * int64_t{sizeof(unsigned)}, kChunkBytes); }

// out = in * kernel^T scaled, see w8a8.h. Uses the plan's splits, none of which is empty. Up to 2^31 - 1 tiles.
template <class Config>
cudaError_t launch_gemm_mma(const W8A8GemmParams& params, const W8A8Plan& plan, void* workspace, cudaStream_t stream);

}  // namespace awq::w8a8

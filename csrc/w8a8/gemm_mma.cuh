// int8 matrix product on mma.sync. Tiles pass through shared memory in stages (cp.async). ldmatrix loads the fragments.
// Sums stay in int32 registers. Scales and bias are applied once at the end.
//
// Small problems are split along K in two ways: over the warps of a block (kWarpsK), and over blocks that share an
// output tile (`splits`). The last of these blocks to arrive adds up. The result does not change, because integer sums
// are exact.
#pragma once

#include <cuda_fp16.h>

#include "csrc/common/device.h"
#include "csrc/common/mma_int8.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/vector.cuh"
#include "csrc/w8a8/tiles.h"

namespace awq::w8a8 {

struct MmaParams {
  const int8_t* in_feats;  // [m, k]
  const int8_t* kernel;    // [n, k]
  const __half* wscales;   // [n]
  const __half* ascales;   // [m]
  const __half* bias;      // [n] or null
  __half* out;             // [m, n]
  int64_t m, n, k;
  int64_t tiles_m, tiles_n;
  int64_t stages_per_split;  // stages of K that one block adds up
  int splits;                // blocks per output tile
  unsigned* arrivals;        // [tiles], zero at launch; unused if splits is 1
  int4* partial_sums;        // [tiles, splits, kSums / 4, kGroupThreads]
  bool whole_rows;           // out allows 16-byte stores
};

// The byte offset of a 16-byte chunk in a tile whose rows are kTileK bytes. The row's number permutes the chunks of a
// row. The eight rows of an ldmatrix matrix, read at one column, are then in different bank groups:
//   kTileK >= 128: every row starts at bank 0:     chunk ^ row % 8
//   kTileK == 64:  every second row starts there:  chunk ^ row / 2 % 4
template <int kTileK>
__device__ __forceinline__ int tile_offset(int row, int chunk) {
  const int turn = kTileK == 64 ? row / 2 % 4 : row % 8;
  return row * kTileK + (chunk ^ turn) * kChunkBytes;
}

// Starts the copy of rows first_row .. + kRows, columns first_k .. + kTileK of a [rows, k] matrix. Columns past k come
// as zeros; rows past the last repeat it, which only reaches sums that are never stored.
template <typename Config, int kRows>
__device__ __forceinline__ void copy_tile(int8_t* tile, const int8_t* matrix, int64_t first_row, int64_t rows,
                                          int64_t first_k, int64_t k) {
  constexpr int kRowChunks = Config::kTileK / kChunkBytes;
  constexpr int kRowStep = Config::kThreads / kRowChunks;  // rows that the block copies at a time
  static_assert(Config::kThreads % kRowChunks == 0, "a thread keeps its column");
  const int first = threadIdx.x / kRowChunks, chunk = threadIdx.x % kRowChunks;
  const int64_t column = first_k + chunk * kChunkBytes;
  const int8_t* const source = matrix + first_row * k + column;
  // The row within the tile, and k, as 32-bit numbers: their product is one instruction, and no 64-bit address per row
  // has to live in registers through the main loop.
  const unsigned last_row = static_cast<unsigned>(min(rows - first_row, static_cast<int64_t>(kRows)) - 1);
  const unsigned stride = static_cast<unsigned>(k);
#pragma unroll
  for (int i = 0; i < ceil_div(kRows, kRowStep); ++i) {
    const unsigned row = first + i * kRowStep;
    if (kRows % kRowStep != 0 && row >= kRows) break;
    ptx::cp_async<kChunkBytes>(tile + tile_offset<Config::kTileK>(row, chunk),
                               source + static_cast<uint64_t>(min(row, last_row)) * stride, column < k);
  }
}

template <typename Config>
struct Fragments {
  uint32_t a[Config::kMmasM][4];
  uint32_t b[Config::kMmasN / 2][4];  // columns of two neighbouring products
};

// Where a warp stands in the block's tile.
template <typename Config>
struct WarpPlace {
  int lane = threadIdx.x % 32;
  int group = threadIdx.x / Config::kGroupThreads;  // along K
  int rank = threadIdx.x % Config::kGroupThreads;   // within the group
  int row = rank / 32 / Config::kWarpsN * Config::kWarpM;
  int column = rank / 32 % Config::kWarpsN * Config::kWarpN;
};

// The operands of the warp's products at one step of a stage.
template <typename Config>
__device__ __forceinline__ void load_fragments(Fragments<Config>& f, uint32_t stage_address, int step,
                                               const WarpPlace<Config>& place) {
  const int chunk = (step * Config::kWarpsK + place.group) * (kMmaK / kChunkBytes);
  const int lane = place.lane;
  // ldmatrix takes a row address from each lane: for A the matrices go down first, for B across K first.
#pragma unroll
  for (int i = 0; i < Config::kMmasM; ++i) {
    const int row = place.row + i * kMmaM + lane % 16;
    ptx::ldmatrix_x4(f.a[i], stage_address + tile_offset<Config::kTileK>(row, chunk + lane / 16));
  }
  const uint32_t b_address = stage_address + Config::kTileM * Config::kTileK;
#pragma unroll
  for (int j = 0; j < Config::kMmasN / 2; ++j) {
    const int row = place.column + j * 2 * kMmaN + lane / 16 * 8 + lane % 8;
    ptx::ldmatrix_x4(f.b[j], b_address + tile_offset<Config::kTileK>(row, chunk + lane / 8 % 2));
  }
}

template <typename Config>
using Sums = int[Config::kMmasM][Config::kMmasN][4];

template <typename Config>
__device__ __forceinline__ void multiply(Sums<Config>& sums, const Fragments<Config>& f) {
#pragma unroll
  for (int i = 0; i < Config::kMmasM; ++i) {
#pragma unroll
    for (int j = 0; j < Config::kMmasN; ++j) {
      mma_m16n8k32(sums[i][j], f.a[i], f.b[j / 2][j % 2 * 2], f.b[j / 2][j % 2 * 2 + 1]);
    }
  }
}

// Adds stages [first_stage, last_stage) of the tile's product to `sums`.
template <typename Config>
__device__ __forceinline__ void accumulate(Sums<Config>& sums, int8_t* smem, const MmaParams& p, int64_t first_row,
                                           int64_t first_column, int64_t first_stage, int64_t last_stage,
                                           const WarpPlace<Config>& place) {
  const auto copy_stage = [&](int64_t stage) {
    if (stage < last_stage) {
      int8_t* const a = smem + (stage - first_stage) % Config::kStages * Config::kStageBytes;
      const int64_t k = stage * Config::kTileK;
      copy_tile<Config, Config::kTileM>(a, p.in_feats, first_row, p.m, k, p.k);
      copy_tile<Config, Config::kTileN>(a + Config::kTileM * Config::kTileK, p.kernel, first_column, p.n, k, p.k);
    }
    ptx::cp_async_commit();  // past the end an empty group, so that the count of groups stays the stage's number
  };

#pragma unroll
  for (int i = 0; i < Config::kStages - 1; ++i) copy_stage(first_stage + i);
  ptx::cp_async_wait<Config::kStages - 2>();
  __syncthreads();

  const uint32_t smem_address = ptx::smem_address(smem);
  uint32_t stage_address = smem_address;
  Fragments<Config> fragments[2];
  load_fragments(fragments[0], stage_address, 0, place);
  int slot = 0;
  for (int64_t stage = first_stage; stage < last_stage; ++stage) {
#pragma unroll
    for (int step = 0; step < Config::kSteps; ++step) {
      // Fragments are loaded one step ahead. The last step of a stage loads the first of the next, for which that
      // stage must have arrived; passing the barrier, all warps have also read this stage to its end, and the first
      // step of the next one may overwrite it.
      if (step == Config::kSteps - 1) {
        ptx::cp_async_wait<Config::kStages - 2>();
        __syncthreads();
        slot = slot + 1 == Config::kStages ? 0 : slot + 1;
        stage_address = smem_address + slot * Config::kStageBytes;
      }
      load_fragments(fragments[(step + 1) % 2], stage_address, (step + 1) % Config::kSteps, place);
      if (step == 0) copy_stage(stage + Config::kStages - 1);
      multiply<Config>(sums, fragments[step % 2]);
      static_assert(Config::kSteps % 2 == 0, "the fragments' buffers alternate across stages");
    }
  }
  ptx::cp_async_wait<0>();
  __syncthreads();  // shared memory is free for other use
}

// Collects in the first group of warps what the others have added up.
template <typename Config>
__device__ __forceinline__ void add_groups(Sums<Config>& sums, int8_t* smem, const WarpPlace<Config>& place) {
  int* const flat = &sums[0][0][0];
  int* const shared = reinterpret_cast<int*>(smem) + place.rank;
  if (place.group > 0) {
#pragma unroll
    for (int i = 0; i < Config::kSums; ++i) {
      shared[((place.group - 1) * Config::kSums + i) * Config::kGroupThreads] = flat[i];
    }
  }
  __syncthreads();
  if (place.group == 0) {
#pragma unroll
    for (int group = 0; group < Config::kWarpsK - 1; ++group) {
#pragma unroll
      for (int i = 0; i < Config::kSums; ++i) {
        flat[i] += shared[(group * Config::kSums + i) * Config::kGroupThreads];
      }
    }
  }
  __syncthreads();
}

// Leaves this block's sums in the workspace. Returns whether it is the last of its tile: then `sums` holds them all.
template <typename Config>
__device__ __forceinline__ bool add_splits(Sums<Config>& sums, const MmaParams& p, int64_t tile, int split,
                                           const WarpPlace<Config>& place) {
  int* const flat = &sums[0][0][0];
  const auto partial = [&](int of_split) {
    return p.partial_sums + (tile * p.splits + of_split) * (Config::kSums / 4 * Config::kGroupThreads) + place.rank;
  };
  if (place.group == 0) {
#pragma unroll
    for (int i = 0; i < Config::kSums / 4; ++i) {
      partial(split)[i * Config::kGroupThreads] =
          make_int4(flat[4 * i], flat[4 * i + 1], flat[4 * i + 2], flat[4 * i + 3]);
    }
  }
  __threadfence();  // the sums are seen before the arrival
  __syncthreads();
  const unsigned others = p.splits - 1;
  if (!__syncthreads_or(threadIdx.x == 0 && atomicAdd(p.arrivals + tile, 1u) == others)) return false;
  __threadfence();  // and the others' sums are read after theirs
  if (place.group == 0) {
    for (int other = 0; other < p.splits; ++other) {
      if (other == split) continue;
#pragma unroll
      for (int i = 0; i < Config::kSums / 4; ++i) {
        const int4 x = __ldcg(partial(other) + i * Config::kGroupThreads);
        flat[4 * i] += x.x;
        flat[4 * i + 1] += x.y;
        flat[4 * i + 2] += x.z;
        flat[4 * i + 3] += x.w;
      }
    }
  }
  return true;
}

// Scales the sums, rounds them and lays them out as a tile of fp16 in shared memory.
template <typename Config>
__device__ __forceinline__ void scale_to_smem(const Sums<Config>& sums, __half* tile, const MmaParams& p,
                                              int64_t first_row, int64_t first_column, const WarpPlace<Config>& place) {
  const int row = place.row + place.lane / 4, column = place.column + place.lane % 4 * 2;
  float row_scale[Config::kMmasM][2];
#pragma unroll
  for (int i = 0; i < Config::kMmasM; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t m = first_row + row + i * kMmaM + half * 8;
      row_scale[i][half] = m < p.m ? __half2float(p.ascales[m]) : 0.0f;
    }
  }
#pragma unroll
  for (int j = 0; j < Config::kMmasN; ++j) {
    float column_scale[2], bias[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int64_t n = first_column + column + j * kMmaN + e;
      column_scale[e] = n < p.n ? __half2float(p.wscales[n]) : 0.0f;
      bias[e] = p.bias != nullptr && n < p.n ? __half2float(p.bias[n]) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < Config::kMmasM; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float y[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          y[e] = fmaf(static_cast<float>(sums[i][j][2 * half + e]) * column_scale[e], row_scale[i][half], bias[e]);
        }
        const int at = (row + i * kMmaM + half * 8) * Config::kOutRowElems + column + j * kMmaN;
        *reinterpret_cast<__half2*>(tile + at) = __floats2half2_rn(y[0], y[1]);
      }
    }
  }
}

// Stores the tile's part that lies within the matrix, in 16-byte pieces if the rows allow it.
template <typename Config>
__device__ __forceinline__ void store_tile(const __half* tile, const MmaParams& p, int64_t first_row,
                                           int64_t first_column) {
  constexpr int kElems = kVecElems<__half>;
  constexpr int kRowVectors = Config::kTileN / kElems;
  for (int i = threadIdx.x; i < Config::kTileM * kRowVectors; i += Config::kThreads) {
    const int row = i / kRowVectors, column = i % kRowVectors * kElems;
    const int64_t m = first_row + row, left = p.n - first_column - column;
    if (m >= p.m || left <= 0) continue;
    const auto v = load_vec<Vec<__half>>(tile + row * Config::kOutRowElems + column);
    store_vec(p.out + m * p.n + first_column + column, v, left < kElems ? static_cast<int>(left) : kElems,
              p.whole_rows);
  }
}

// The order of the tiles: bands of kBandM tiles of rows, each band column by column. The blocks that run at one time
// then share rows of both matrices, and read them from the L2 cache.
struct TilePlace {
  int64_t m, n;
};
__device__ __forceinline__ TilePlace place_tile(int64_t index, int64_t tiles_m, int64_t tiles_n) {
  constexpr int64_t kBandM = 8;
  const int64_t band = index / (kBandM * tiles_n), within = index % (kBandM * tiles_n);
  const int64_t height = min(kBandM, tiles_m - band * kBandM);
  return {band * kBandM + within % height, within / height};
}

// Block x: output tile, y: part of K.
template <typename Config>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm) w8a8_mma_kernel(const MmaParams p) {
  extern __shared__ __align__(128) int8_t smem[];
  const WarpPlace<Config> place;
  const TilePlace tile = place_tile(blockIdx.x, p.tiles_m, p.tiles_n);
  const int64_t first_row = tile.m * Config::kTileM, first_column = tile.n * Config::kTileN;
  const int64_t stages = ceil_div(p.k, Config::kTileK);
  const int64_t first_stage = blockIdx.y * p.stages_per_split;
  const int64_t last_stage = min(stages, first_stage + p.stages_per_split);

  Sums<Config> sums = {};
  accumulate<Config>(sums, smem, p, first_row, first_column, first_stage, last_stage, place);
  if constexpr (Config::kWarpsK > 1) add_groups<Config>(sums, smem, place);
  if (p.splits > 1 && !add_splits<Config>(sums, p, blockIdx.x, blockIdx.y, place)) return;

  __half* const out_tile = reinterpret_cast<__half*>(smem);
  if (place.group == 0) scale_to_smem<Config>(sums, out_tile, p, first_row, first_column, place);
  __syncthreads();
  store_tile<Config>(out_tile, p, first_row, first_column);
}

template <typename Config>
cudaError_t launch_gemm_mma(const W8A8GemmParams& p, const W8A8Plan& plan, void* workspace, cudaStream_t stream) {
  const int64_t stages = std::max<int64_t>(ceil_div(p.k, Config::kTileK), 1);
  MmaParams q{};
  q.in_feats = p.in_feats;
  q.kernel = p.kernel;
  q.wscales = static_cast<const __half*>(p.wscales);
  q.ascales = static_cast<const __half*>(p.ascales);
  q.bias = static_cast<const __half*>(p.bias);
  q.out = static_cast<__half*>(p.out_feats);
  q.m = p.m;
  q.n = p.n;
  q.k = p.k;
  q.tiles_m = ceil_div(p.m, Config::kTileM);
  q.tiles_n = ceil_div(p.n, Config::kTileN);
  q.stages_per_split = ceil_div(stages, plan.splits);
  q.splits = plan.splits;
  q.whole_rows = p.n % kVecElems<__half> == 0 && is_aligned(p.out_feats);
  const int64_t tiles = q.tiles_m * q.tiles_n;
  if (plan.splits > 1) {
    q.arrivals = static_cast<unsigned*>(workspace);
    q.partial_sums = reinterpret_cast<int4*>(static_cast<char*>(workspace) + arrival_bytes(tiles));
    if (const cudaError_t error = cudaMemsetAsync(workspace, 0, arrival_bytes(tiles), stream); error != cudaSuccess) {
      return error;
    }
  }

  const auto kernel = w8a8_mma_kernel<Config>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSmemBytes);
      error != cudaSuccess) {
    return error;
  }
  kernel<<<dim3(static_cast<unsigned>(tiles), plan.splits), Config::kThreads, Config::kSmemBytes, stream>>>(q);
  return checked_launch();
}

}  // namespace awq::w8a8

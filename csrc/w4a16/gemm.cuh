// Many rows: tiles of channels x tokens on the tensor cores by mma.sync, for every architecture.
//
// The weights are the 16-row operand A, for two reasons. Tokens can then come in multiples of eight. The lane that
// dequantizes the weights of a channel also multiplies them. Tiles of K pass through a ring of stages in shared memory.
// cp.async fills the ring. Each warp dequantizes its weights in registers.
//
//   lane 4g + c of a warp    channels 2 kRowTiles g ...: 4 or 8 neighbours, so that scales and results move as vectors
//   mma tile t               row g is the lane's channel 2t, row g + 8 its channel 2t + 1
//   shared weights           128-byte lines of four channels x 64 columns, chunk 2 (channel % 4) + run of 16 bytes,
//                            in either layout
//   shared activations       128-byte rows of one token x 64 columns
#pragma once

#include "csrc/common/mma.cuh"
#include "csrc/w4a16/partials.cuh"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {

template <class Config>
struct GemmStage {
  uint8_t activations[Config::kTokens][kLineBytes];
  uint8_t weights[Config::kChannels / 4][kLineBytes];
  uint16_t scales[kRunsPerTile][Config::kChannels];
  uint16_t zeros[kRunsPerTile][Config::kChannels];
};

// The eight rows that an ldmatrix takes at one chunk are neighbouring tokens, or every kRowTiles / 2-th line of
// weights.
template <class Config>
__device__ __forceinline__ int swizzle_weights(int chunk, int line) {
  return swizzle(chunk, line / (Config::kRowTiles / 2));
}

// The position of a block in the result.
struct TilePosition {
  int64_t first_channel, first_token;
  int k_tile_begin, k_tile_end;
};

template <class Config>
__device__ __forceinline__ TilePosition tile_position(const Args& args) {
  // Blocks that run at the same time form a patch of kGroupTokens token tiles by some channel tiles. All blocks but the
  // first then read the activations and weights of the patch from L2.
  constexpr int kGroupTokens = 8;
  const int channel_tiles = static_cast<int>(ceil_div(args.n, Config::kChannels));
  const int token_tiles = static_cast<int>(ceil_div(args.m, Config::kTokens));
  const int group = blockIdx.x / (kGroupTokens * channel_tiles);
  const int group_tokens = min(kGroupTokens, token_tiles - group * kGroupTokens);
  const int in_group = blockIdx.x % (kGroupTokens * channel_tiles);
  const int k_tiles = static_cast<int>(args.k / kTileK);
  TilePosition position;
  position.first_token = static_cast<int64_t>(group * kGroupTokens + in_group % group_tokens) * Config::kTokens;
  position.first_channel = static_cast<int64_t>(in_group / group_tokens) * Config::kChannels;
  position.k_tile_begin = static_cast<int>(static_cast<int64_t>(k_tiles) * blockIdx.y / args.splits);
  position.k_tile_end = static_cast<int>(static_cast<int64_t>(k_tiles) * (blockIdx.y + 1) / args.splits);
  return position;
}

template <class Config>
__device__ __forceinline__ void copy_activations(GemmStage<Config>& stage, const Args& args, int64_t first_token,
                                                 int k_tile) {
  static_assert(Config::kTokens * kLineChunks % Config::kThreads == 0, "every thread copies as many chunks");
  const int chunk = threadIdx.x % kLineChunks;
  constexpr int kRowStep = Config::kThreads / kLineChunks;
  const uint8_t* source = static_cast<const uint8_t*>(args.in) +
                          ((first_token + threadIdx.x / kLineChunks) * args.k + k_tile * int64_t{kTileK}) * 2 +
                          chunk * kChunkBytes;
#pragma unroll
  for (int i = 0; i < Config::kTokens / kRowStep; ++i) {
    const int row = threadIdx.x / kLineChunks + i * kRowStep;
    ptx::cp_async<16>(&stage.activations[row][swizzle(chunk, row) * kChunkBytes], source, first_token + row < args.m);
    source += kRowStep * args.k * 2;
  }
}

template <class Config, class Layout>
__device__ __forceinline__ void copy_weights(GemmStage<Config>& stage, const Args& args, int64_t first_channel,
                                             int k_tile) {
  constexpr int kChunks = Config::kChannels / 4 * kLineChunks;
  static_assert(kChunks % Config::kThreads == 0, "every thread copies as many chunks");
#pragma unroll
  for (int i = 0; i < kChunks / Config::kThreads; ++i) {
    const int index = threadIdx.x + i * Config::kThreads;
    const int line = index / kLineChunks, chunk = index % kLineChunks;
    const int64_t channel = first_channel + 4 * line + chunk / 2;
    ptx::cp_async<16>(&stage.weights[line][swizzle_weights<Config>(chunk, line) * kChunkBytes],
                      Layout::run_pointer(args, channel, static_cast<int64_t>(k_tile) * kRunsPerTile + chunk % 2),
                      channel < args.n);
  }
}

// Scales and zeros of a K tile, one set per run whatever the group size: four channels per thread and run.
template <class Config, class Layout>
struct ScaleCopy {
  static constexpr int kQuads = Config::kChannels / 4;
  static_assert(kRunsPerTile * kQuads <= Config::kThreads, "one item per thread");

  const int run = threadIdx.x / kQuads, quad = threadIdx.x % kQuads;
  FourScales held = {};

  __device__ __forceinline__ void load(const Args& args, int64_t first_channel, int k_tile) {
    const int64_t channel = first_channel + 4 * quad;
    if (run < kRunsPerTile && channel < args.n) {
      held =
          Layout::load_scales(args, channel, static_cast<uint32_t>(k_tile * kRunsPerTile + run) / args.runs_per_group);
    }
  }

  __device__ __forceinline__ void store(GemmStage<Config>& stage) const {
    if (run < kRunsPerTile) {
      *reinterpret_cast<uint2*>(&stage.scales[run][4 * quad]) = held.scale;
      *reinterpret_cast<uint2*>(&stage.zeros[run][4 * quad]) = held.zero;
    }
  }
};

// A warp's products with one stage. A variant dequantized the operands of one mma step in portions, between the
// products of the step before. It made no difference for layout v2 (4096 rows of 28672 x 4096: 2771 us, not 2813; 1024
// rows: 708, not 697). It gained 6% for v1. That is not worth its complication.
template <class Config, class T, class Layout>
__device__ __forceinline__ void multiply_stage(float (&sum)[Config::kRowTiles][Config::kColumnTiles][4],
                                               const GemmStage<Config>& stage, bool one_group) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_channel = warp % Config::kWarpRows * Config::kWarpChannels;
  const int warp_token = warp / Config::kWarpRows * Config::kWarpTokens;
  const int matrix = lane / 8, matrix_row = lane % 8;  // as ldmatrix takes addresses

  // Words of rows g and g + 8 for both runs: matrices (upper, run 0), (lower, run 0), (upper, run 1), (lower, run 1).
  uint32_t words[Config::kRowTiles][4];
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; ++t) {
    const int channel = warp_channel + 2 * Config::kRowTiles * matrix_row + 2 * t + matrix % 2;
    const int chunk = swizzle_weights<Config>(channel % 4 * 2 + matrix / 2, channel / 4);
    ptx::ldmatrix_x4(words[t], ptx::smem_address(&stage.weights[channel / 4][chunk * kChunkBytes]));
  }

  constexpr int kScaleWords = Config::kRowTiles;  // two scales each
  uint32_t scales[kScaleWords], zeros[kScaleWords];
#pragma unroll
  for (int run = 0; run < kRunsPerTile; ++run) {
    if (run == 0 || !one_group) {
      const int channel = warp_channel + 2 * Config::kRowTiles * (lane / 4);
#pragma unroll
      for (int i = 0; i < kScaleWords; ++i) {
        scales[i] = *reinterpret_cast<const uint32_t*>(&stage.scales[run][channel + 2 * i]);
        zeros[i] = *reinterpret_cast<const uint32_t*>(&stage.zeros[run][channel + 2 * i]);
      }
    }
    uint32_t a[Config::kRowTiles][2][4];
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; ++t) {
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const uint32_t scale = broadcast_half(scales[t], row), zero = broadcast_half(zeros[t], row);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          a[t][i / 2][i % 2 * 2 + row] = Layout::template dequantize<T>(words[t][2 * run + row], i, scale, zero);
        }
      }
    }
#pragma unroll
    for (int column = 0; column < Config::kColumnTiles; ++column) {
      uint32_t b[4];
      Layout::load_x_fragments(b, &stage.activations[warp_token + 8 * column][0], run);
#pragma unroll
      for (int step = 0; step < 2; ++step) {
#pragma unroll
        for (int t = 0; t < Config::kRowTiles; ++t) {
          mma_m16n8k16<T>(sum[t][column], a[t][step], b[2 * step], b[2 * step + 1]);
        }
      }
    }
  }
}

// A lane holds 2 kRowTiles neighbouring channels of two tokens per column tile.
template <class Config, class T>
__device__ __forceinline__ void store_tile(const float (&sum)[Config::kRowTiles][Config::kColumnTiles][4],
                                           const Args& args, const TilePosition& position) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t channel =
      position.first_channel + warp % Config::kWarpRows * Config::kWarpChannels + 2 * Config::kRowTiles * (lane / 4);
#pragma unroll
  for (int column = 0; column < Config::kColumnTiles; ++column) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t token =
          position.first_token + warp / Config::kWarpRows * Config::kWarpTokens + 8 * column + 2 * (lane % 4) + i;
      if (token >= args.m) continue;
#pragma unroll
      for (int quad = 0; quad < Config::kRowTiles / 2; ++quad) {
        // n is a multiple of 4: four channels exist together, eight may not.
        if (channel + 4 * quad >= args.n) continue;
        const int64_t offset = token * args.n + channel + 4 * quad;
        const float4 value = {sum[2 * quad][column][i], sum[2 * quad][column][2 + i], sum[2 * quad + 1][column][i],
                              sum[2 * quad + 1][column][2 + i]};
        if (args.splits > 1) {
          *reinterpret_cast<float4*>(args.partials + blockIdx.y * args.m * args.n + offset) = value;
        } else {
          *reinterpret_cast<uint2*>(static_cast<T*>(args.out) + offset) = {narrow_pair<T>(value.x, value.y),
                                                                           narrow_pair<T>(value.z, value.w)};
        }
      }
    }
  }
}

template <class Config, class T, class Layout>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    gemm_kernel(const __grid_constant__ Args args) {
  extern __shared__ __align__(128) uint8_t smem[];
  auto* stages = reinterpret_cast<GemmStage<Config>*>(smem);
  static_assert(sizeof(GemmStage<Config>) * Config::kStages == Config::kSmemBytes, "GemmConfig counts every array");

  const TilePosition position = tile_position<Config>(args);
  const int k_tiles = position.k_tile_end - position.k_tile_begin;
  ScaleCopy<Config, Layout> scale_copy;
  const auto fill = [&](int i) {  // starts the copies of the i-th K tile; its scales go to registers
    GemmStage<Config>& stage = stages[i % Config::kStages];
    copy_activations<Config>(stage, args, position.first_token, position.k_tile_begin + i);
    copy_weights<Config, Layout>(stage, args, position.first_channel, position.k_tile_begin + i);
    scale_copy.load(args, position.first_channel, position.k_tile_begin + i);
  };

  constexpr int kAhead = Config::kStages - 1;
  for (int i = 0; i < kAhead; ++i) {
    if (i < k_tiles) {
      fill(i);
      scale_copy.store(stages[i]);
    }
    ptx::cp_async_commit();
  }

  float sum[Config::kRowTiles][Config::kColumnTiles][4] = {};
  const bool one_group = args.runs_per_group > 1;  // else the runs of a tile have scales of their own
  for (int i = 0; i < k_tiles; ++i) {
    ptx::cp_async_wait<kAhead - 1>();
    __syncthreads();  // tile i has arrived for all threads, and all have done with tile i - 1, whose stage is next
    const bool more = i + kAhead < k_tiles;
    if (more) fill(i + kAhead);
    ptx::cp_async_commit();
    multiply_stage<Config, T, Layout>(sum, stages[i % Config::kStages], one_group);
    // Only now, so that the loads had the products' time to arrive.
    if (more) scale_copy.store(stages[(i + kAhead) % Config::kStages]);
  }
  store_tile<Config, T>(sum, args, position);
}

template <class Config, class T, class Layout>
cudaError_t launch_gemm(const Args& args, const DeviceInfo&, cudaStream_t stream) {
  const auto kernel = gemm_kernel<Config, T, Layout>;
  cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSmemBytes);
  if (error != cudaSuccess) return error;
  const int64_t tiles = ceil_div(args.n, Config::kChannels) * ceil_div(args.m, Config::kTokens);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(args.splits));
  kernel<<<grid, Config::kThreads, Config::kSmemBytes, stream>>>(args);
  error = checked_launch();
  if (error != cudaSuccess || args.splits == 1) return error;
  return launch_add_partials<T, OnEveryGpu>(args, stream);
}

}  // namespace awq::w4a16

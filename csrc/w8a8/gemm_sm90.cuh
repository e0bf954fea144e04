// int8 matrix product on Hopper: wgmma, the tensor copy engine, and warps with different roles.
//
// The kernel computes the transposed product. Weights are the row operand A, 64 channels at a time. Activations are the
// column operand B, with the tokens of a tile. Few tokens therefore cost few columns, and weights are read once. Both
// operands come from shared memory. One thread keeps a ring of stages filled. Blocks are persistent and take one tile
// after another. The ring is therefore full again when the results of a tile leave.
//
// These variants were not faster (H200, us, each comparison within one run):
//   - a cluster of two blocks, each fetching half of the common activations for both: 212 instead of 159 for 1024 rows
//     of 28672 x 4096, 789 instead of 614 for 4096 rows;
//   - a cluster of two, four or eight blocks that share K and add up through one another's shared memory: 16.0 to 28.7
//     with 128 tokens (4096 x 4096, 128 rows), where smaller tiles take 13.0;
//   - a different start in K for every tile, to avoid hot lines in L2: no difference.
//
//   shared operands    128-byte rows, 128 columns of a channel or a token
//   shared results     128-byte rows, 64 channels of a token
//   both               16-byte chunks permuted by exclusive or with the row, as the copy engine does it
#pragma once

#include <cuda.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/common/device.h"
#include "csrc/common/ptx.cuh"
#include "csrc/common/ptx_sm90.cuh"
#include "csrc/common/ring.cuh"
#include "csrc/common/tensor_map.h"
#include "csrc/w8a8/tiles.h"

namespace awq::w8a8 {
namespace sm90 {

constexpr int kStepBytes = 32;  // of K in one product
constexpr int kLineSteps = kLineBytes / kStepBytes;
constexpr int kUnitTokens = 16;  // what a warp stages at a time, by its 16 channels

struct Args {
  const __half* wscales;  // [n]
  const __half* ascales;  // [m]
  const __half* bias;     // [n] or null
  __half* out;            // [m, n]
  int m, n, k_tiles;
  int channels;  // of a tile
  int channel_tiles, token_tiles;
  int stages;
  bool weights_once;  // all blocks that read a weight do so at about the same time
};

// Shared memory after the ring. The copy engine's permutation is made from address bits, hence the alignment.
template <class Config>
struct alignas(1024) SharedStorage {
  uint8_t results[Config::kConsumers][2][Config::kResultTokens][kLineBytes];
  float token_scales[Config::kConsumers][Config::kTokens];
  uint64_t full[Config::kMaxStages];
  uint64_t empty[Config::kMaxStages];
};

// The ring, at the start of shared memory: stages of weights, then activations, each kLines times rows of 128 bytes.
template <class Config>
struct Ring {
  uint8_t* base;
  const Args& args;

  __device__ __forceinline__ int weights_bytes() const { return args.channels * Config::kTileK; }
  __device__ __forceinline__ int stage_bytes() const { return weights_bytes() + Config::kTokens * Config::kTileK; }
  __device__ __forceinline__ uint8_t* weights(int stage) const { return base + stage * stage_bytes(); }
  __device__ __forceinline__ uint8_t* activations(int stage) const { return weights(stage) + weights_bytes(); }
};

struct Tile {
  int first_channel, first_token;
};

// The tile of a number. Tiles that run at the same time form a patch of kGroupTiles token tiles by some channel tiles.
// All tiles but the first then read the activations and weights of the patch from L2. Groups of 4, 16 or 32 tiles are
// no faster.
template <class Config>
__device__ __forceinline__ Tile place_tile(const Args& args, int tile) {
  constexpr int kGroupTiles = 8;
  const int group_size = kGroupTiles * args.channel_tiles;
  const int group = tile / group_size, in_group = tile % group_size;
  const int group_tokens = min(kGroupTiles, args.token_tiles - group * kGroupTiles);
  return {in_group / group_tokens * args.channels, (group * kGroupTiles + in_group % group_tokens) * Config::kTokens};
}

// ---- The filling thread ---------------------------------------------------------------------------------------------

// All K tiles of all the block's tiles, as far ahead as the ring allows.
template <class Config>
__device__ __forceinline__ void fill_stages(const Ring<Config>& ring, SharedStorage<Config>& shared, const Args& args,
                                            const CUtensorMap& in_map, const CUtensorMap& weights_map) {
  const uint64_t evict_first = ptx::evict_first_policy();
  RingPosition position;
  position.parity = 1;
  for (int i = blockIdx.x; i < args.channel_tiles * args.token_tiles; i += gridDim.x) {
    const Tile tile = place_tile<Config>(args, i);
    for (int k_tile = 0; k_tile < args.k_tiles; ++k_tile) {
      uint64_t* const full = &shared.full[position.stage];
      uint8_t* const weights = ring.weights(position.stage);
      uint8_t* const activations = ring.activations(position.stage);
      ptx::mbarrier_wait(&shared.empty[position.stage], position.parity);
      ptx::mbarrier_arrive_expect(full, ring.stage_bytes());
#pragma unroll
      for (int line = 0; line < Config::kLines; ++line) {
        const int column = k_tile * Config::kTileK + line * kLineBytes;
        uint8_t* const weights_line = weights + line * args.channels * kLineBytes;
        if (args.weights_once) {
          ptx::copy_box(weights_line, weights_map, column, tile.first_channel, full, evict_first);
        } else {
          ptx::copy_box(weights_line, weights_map, column, tile.first_channel, full);
        }
        ptx::copy_box(activations + line * Config::kTokens * kLineBytes, in_map, column, tile.first_token, full);
      }
      position.advance(args.stages);
    }
  }
}

// ---- The multiplying warpgroups -------------------------------------------------------------------------------------

// A lane 4g + c of warp w holds of the warpgroup's row tile t the channels 64t + 16w + g and eight further, of tokens
// 8j + 2c and 8j + 2c + 1: sum[t][4j], sum[t][4j + 1] and, of the other channel, sum[t][4j + 2], sum[t][4j + 3].
template <class Config>
using Sums = int[Config::kRowTiles][Config::kTokens / 2];

// Number of the thread's warpgroup. By a shuffle, so that the compiler sees that it is the same for the warp and keeps
// the operands' descriptors in uniform registers; else it moves them there before every product, at 3% of the time.
__device__ __forceinline__ int warpgroup_of_block() {
  return __shfl_sync(kAllLanes, threadIdx.x / kWarpgroupThreads, 0);
}

// Scale and bias of a lane's channels.
template <class Config>
struct LaneChannels {
  float scale[Config::kRowTiles][2], bias[Config::kRowTiles][2];

  __device__ __forceinline__ void load(const Args& args, int first_channel) {
    const int warp = threadIdx.x / 32 % 4, g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int channel = first_channel + 64 * t + 16 * warp + g + 8 * i;
        const bool valid = channel < args.n;
        scale[t][i] = valid ? __half2float(args.wscales[channel]) : 0.0f;
        bias[t][i] = valid && args.bias != nullptr ? __half2float(args.bias[channel]) : 0.0f;
      }
    }
  }
};

// sum = the tile's products. While a stage's run, those of the stage before are waited for and that is handed back.
template <class Config>
__device__ __forceinline__ void multiply(Sums<Config>& sum, const Ring<Config>& ring, SharedStorage<Config>& shared,
                                         int k_tiles, RingPosition& position) {
  constexpr uint64_t kRowTileStep = 64 * kLineBytes >> 4;
  const uint64_t first_row_tile = warpgroup_of_block() * Config::kRowTiles * kRowTileStep;
  const auto hand_back = [&](int stage) {
    __syncwarp();  // a lane's arrival speaks for its warp
    if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(&shared.empty[stage]);
  };
  int previous = 0;
  for (int k_tile = 0; k_tile < k_tiles; ++k_tile) {
    const uint64_t weights = ptx::wgmma_descriptor(ring.weights(position.stage)) + first_row_tile;
    const uint64_t activations = ptx::wgmma_descriptor(ring.activations(position.stage));
    ptx::mbarrier_wait(&shared.full[position.stage], position.parity);
    ptx::wgmma_fence();
#pragma unroll
    for (int line = 0; line < Config::kLines; ++line) {
#pragma unroll
      for (int step = 0; step < kLineSteps; ++step) {
        const uint64_t a = weights + (line * ring.args.channels * kLineBytes >> 4) + step * ptx::kDescriptorStep;
        const uint64_t b = activations + (line * Config::kTokens * kLineBytes >> 4) + step * ptx::kDescriptorStep;
#pragma unroll
        for (int t = 0; t < Config::kRowTiles; ++t) {
          ptx::wgmma_int8(sum[t], a + t * kRowTileStep, b, k_tile > 0 || line > 0 || step > 0);
        }
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();
    if (k_tile > 0) hand_back(previous);
    previous = position.stage;
    position.advance(ring.args.stages);
  }
  ptx::wgmma_wait<0>();
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; ++t) ptx::pin(sum[t]);
  hand_back(previous);
}

// Scales a unit, which is the lane's sums of two times eight tokens. Writes it to `rows` as tokens of 64 channels. The
// chunks are permuted as the copy engine expects it.
__device__ __forceinline__ void stage_unit(uint8_t (*rows)[kLineBytes], const int (&sum)[8], const float* token_scales,
                                           const float (&scale)[2], const float (&bias)[2]) {
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  uint32_t packed[4];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const float2 token_scale = *reinterpret_cast<const float2*>(token_scales + 8 * j + 2 * (lane % 4));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float y0 = fmaf(static_cast<float>(sum[4 * j + 2 * i]) * scale[i], token_scale.x, bias[i]);
      const float y1 = fmaf(static_cast<float>(sum[4 * j + 2 * i + 1]) * scale[i], token_scale.y, bias[i]);
      const __half2 pair = __floats2half2_rn(y0, y1);
      packed[2 * j + i] = reinterpret_cast<const uint32_t&>(pair);
    }
  }
  const int matrix = lane / 8, row = matrix / 2 * 8 + lane % 8, chunk = 2 * warp + matrix % 2;
  ptx::stmatrix_x4_transposed(ptx::smem_address(&rows[row][swizzle(chunk, row) * kChunkBytes]), packed);
}

// Where a warpgroup's results go, by way of its two buffers.
template <class Config>
struct Output {
  const Args& args;
  const CUtensorMap& map;
  uint8_t (*buffers)[Config::kResultTokens][kLineBytes];
  int warpgroup = threadIdx.x / kWarpgroupThreads, thread = threadIdx.x % kWarpgroupThreads;
  int buffer = 0;

  __device__ __forceinline__ void barrier() const { ptx::named_barrier<kWarpgroupThreads>(1 + warpgroup); }

  // A buffer's results, 64 channels (but none past `end_channel`) by kResultTokens, to memory. The copy engine writes
  // whole lines while the warps go on, but takes boxes of 64 channels only.
  __device__ __forceinline__ void store(const uint8_t (*rows)[kLineBytes], int channel, int end_channel,
                                        int token) const {
    if (args.channels % 64 == 0) {
      if (thread != 0 || channel >= end_channel) return;
      ptx::store_box(map, channel, token, rows);
      ptx::store_box_commit();
      return;
    }
    for (int i = thread; i < Config::kResultTokens * kLineChunks; i += kWarpgroupThreads) {
      const int row = i / kLineChunks, chunk = i % kLineChunks;
      const int at = channel + chunk * (kChunkBytes / 2);
      if (token + row >= args.m || at >= end_channel) continue;
      *reinterpret_cast<uint4*>(args.out + int64_t{token + row} * args.n + at) =
          *reinterpret_cast<const uint4*>(&rows[row][swizzle(chunk, row) * kChunkBytes]);
    }
  }

  __device__ __forceinline__ void operator()(const Sums<Config>& sum, const LaneChannels<Config>& channels,
                                             const float* token_scales, const Tile& tile) {
    const int first_channel = tile.first_channel + warpgroup * Config::kWarpgroupChannels;
    const int end_channel = min(tile.first_channel + args.channels, args.n);
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; ++t) {
#pragma unroll
      for (int first = 0; first < Config::kTokens; first += Config::kResultTokens) {
        auto& rows = buffers[buffer];
        buffer ^= 1;
        if (thread == 0) ptx::store_box_wait_read<1>();  // the buffer's last contents
        barrier();
#pragma unroll
        for (int token = 0; token < Config::kResultTokens; token += kUnitTokens) {
          int unit[8];
#pragma unroll
          for (int i = 0; i < 8; ++i) unit[i] = sum[t][(first + token) / 2 + i];
          stage_unit(&rows[token], unit, token_scales + first + token, channels.scale[t], channels.bias[t]);
        }
        ptx::fence_before_store_box();
        barrier();
        store(rows, first_channel + 64 * t, end_channel, tile.first_token + first);
      }
    }
  }
};

template <class Config>
__device__ __forceinline__ void multiply_tiles(const Ring<Config>& ring, SharedStorage<Config>& shared,
                                               const Args& args, const CUtensorMap& out_map) {
  constexpr int kThreads = kWarpgroupThreads;
  const int warpgroup = threadIdx.x / kThreads, thread = threadIdx.x % kThreads;
  float* const token_scales = shared.token_scales[warpgroup];
  Output<Config> output{args, out_map, shared.results[warpgroup]};
  RingPosition position;
  for (int i = blockIdx.x; i < args.channel_tiles * args.token_tiles; i += gridDim.x) {
    const Tile tile = place_tile<Config>(args, i);
    LaneChannels<Config> channels;
    channels.load(args, tile.first_channel + warpgroup * Config::kWarpgroupChannels);
    // All scales are fetched ahead of the products and are there when those end.
    float token_scale[ceil_div(Config::kTokens, kThreads)];
#pragma unroll
    for (int i = 0; i < Config::kTokens; i += kThreads) {
      const int token = tile.first_token + i + thread;
      token_scale[i / kThreads] = token < args.m ? __half2float(args.ascales[token]) : 0.0f;
    }

    Sums<Config> sum;
    multiply<Config>(sum, ring, shared, args.k_tiles, position);
#pragma unroll
    for (int i = 0; i < Config::kTokens; i += kThreads) {
      if (i + thread < Config::kTokens) token_scales[i + thread] = token_scale[i / kThreads];
    }
    output(sum, channels, token_scales, tile);
  }
  if (thread == 0) ptx::store_box_wait_read();  // shared memory ends with the block
}

// ---- Kernel and launch ----------------------------------------------------------------------------------------------

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    gemm_kernel(const __grid_constant__ Args args, const __grid_constant__ CUtensorMap in_map,
                const __grid_constant__ CUtensorMap weights_map, const __grid_constant__ CUtensorMap out_map) {
  extern __shared__ __align__(1024) uint8_t smem[];
  const Ring<Config> ring{smem, args};
  auto& shared = *reinterpret_cast<SharedStorage<Config>*>(smem + args.stages * ring.stage_bytes());

  if (threadIdx.x == 0) {
    ptx::prefetch_map(in_map);
    ptx::prefetch_map(weights_map);
    for (int i = 0; i < args.stages; ++i) {
      ptx::mbarrier_init(&shared.full[i], 1);
      ptx::mbarrier_init(&shared.empty[i], Config::kConsumerThreads / 32);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();

  if (threadIdx.x >= Config::kConsumerThreads) {
    if constexpr (Config::kConsumers > 1) ptx::release_registers<ptx::RegisterSplit<Config::kConsumers>::kProducer>();
    if (threadIdx.x == Config::kConsumerThreads) fill_stages<Config>(ring, shared, args, in_map, weights_map);
  } else {
    if constexpr (Config::kConsumers > 1) ptx::acquire_registers<ptx::RegisterSplit<Config::kConsumers>::kConsumer>();
    multiply_tiles<Config>(ring, shared, args, out_map);
  }
}

template <class Config>
cudaError_t launch(const W8A8GemmParams& p, const W8A8Plan& plan, cudaStream_t stream) {
  CUtensorMap in_map, weights_map, out_map;
  cudaError_t error = describe_matrix(&in_map, p.in_feats, 1, p.m, p.k, Config::kTokens);
  if (error == cudaSuccess) error = describe_matrix(&weights_map, p.kernel, 1, p.n, p.k, plan.channels);
  if (error == cudaSuccess) error = describe_matrix(&out_map, p.out_feats, 2, p.m, p.n * 2, Config::kResultTokens);
  const auto kernel = gemm_kernel<Config>;
  if (error == cudaSuccess) {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSmemBytes);
  }
  if (error != cudaSuccess) return error;

  const auto tiles = [](int64_t size, int tile) { return static_cast<int>(ceil_div(size, tile)); };
  Args args{};
  args.wscales = static_cast<const __half*>(p.wscales);
  args.ascales = static_cast<const __half*>(p.ascales);
  args.bias = static_cast<const __half*>(p.bias);
  args.out = static_cast<__half*>(p.out_feats);
  args.m = static_cast<int>(p.m);
  args.n = static_cast<int>(p.n);
  args.k_tiles = tiles(p.k, Config::kTileK);
  args.channels = plan.channels;
  args.channel_tiles = tiles(p.n, plan.channels);
  args.token_tiles = tiles(p.m, Config::kTokens);
  args.stages = Config::stages(plan.channels);
  args.weights_once = args.token_tiles <= 4;

  // Blocks stay and take one tile after another.
  const int blocks = std::min(args.channel_tiles * args.token_tiles, plan.device.sm_count);
  kernel<<<static_cast<unsigned>(blocks), Config::kThreads, Config::kSmemBytes, stream>>>(args, in_map, weights_map,
                                                                                          out_map);
  return checked_launch();
}

}  // namespace sm90

template <class Tile>
cudaError_t launch_gemm_sm90(const W8A8GemmParams& params, const W8A8Plan& plan, void*, cudaStream_t stream) {
  using Narrow = typename Tile::Narrow;
  if (plan.channels <= Narrow::kMaxChannels) return sm90::launch<Narrow>(params, plan, stream);
  return sm90::launch<typename Tile::Wide>(params, plan, stream);
}

}  // namespace awq::w8a8

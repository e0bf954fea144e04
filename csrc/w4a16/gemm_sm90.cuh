// Many rows on Hopper: wgmma, the tensor copy engine, and warps with different roles.
//
// As in gemm.cuh, the weights are the row operand A. The lanes that multiply weights dequantize them in registers. Here
// A has 64 rows. The tensor cores read B, the activations, from shared memory. Products run while their warps
// dequantize the next weights. One warp keeps a ring of stages filled. Blocks are persistent and take one tile after
// another. The ring is therefore full again when the results of a tile leave.
//
// The words of layout v1 are in another order than the operands need; see LaneWeights.
//
// These variants were slower or not worth it:
//   - a cluster of two blocks, each fetching half of the common activations for both: 356 us instead of 327 (1024 rows
//     of 28672 x 4096);
//   - four multiplying warpgroups of half the channels: 427 instead of 389 at 128 tokens, 41.0 instead of 40.0 at 64;
//   - two blocks of half the channels on an SM: 39.8 instead of 38.9 at 64 tokens;
//   - scales by bulk copies: a gain of 1 to 4% from 128 tokens on, and as much loss below.
//
//   lane 4g + c of a warp    channels 2 kRowTiles g ... of the warp's 16 kRowTiles, neighbours
//   product t                row g is the lane's channel 2t, row g + 8 its channel 2t + 1
//   shared weights           128-byte lines of four channels x 64 columns, chunk 2 (channel % 4) + run of 16 bytes
//   shared activations       128-byte rows of one token x 64 columns
//   shared results           128-byte rows of one token x 64 channels
//   all three                chunks permuted by exclusive or with the row, as the copy engine does it
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include "csrc/common/device.h"
#include "csrc/common/ptx.cuh"
#include "csrc/common/ptx_sm90.cuh"
#include "csrc/common/ring.cuh"
#include "csrc/common/tensor_map.h"
#include "csrc/w4a16/partials.cuh"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {
namespace sm90 {

constexpr int kResultChannels = kLineBytes / 2;
constexpr int kChannelTileBytes = kRunsPerTile * kRunBytes;
constexpr int kStepsPerRun = 2;  // of 16 columns

// How the copy engine brings a layout.
template <class Layout>
struct CopyTraits;
template <>
struct CopyTraits<LayoutV2> {
  static constexpr int kChannelsPerRow = 4;    // of the matrix that it sees: a K tile has 32 bytes of each
  static constexpr bool kCopiesScales = true;  // channels' scales are neighbours: the filling warp copies them
  static constexpr int kFillingLanes = 32;
};
template <>
struct CopyTraits<LayoutV1> {
  static constexpr int kChannelsPerRow = 1;
  static constexpr bool kCopiesScales = false;  // a channel's scales are: lanes load their own
  static constexpr int kFillingLanes = 1;
};

// The copy engine's permutation is made from address bits, hence the alignment.
template <class Config>
struct alignas(1024) Stage {
  uint8_t activations[Config::kTokens][kLineBytes];
  uint8_t weights[Config::kChannels / 4][kLineBytes];
  uint16_t scales[kRunsPerTile][Config::kChannels];
  uint16_t zeros[kRunsPerTile][Config::kChannels];
};

template <class Config>
struct SharedStorage {
  Stage<Config> stages[Config::kStages];
  uint8_t results[Config::kChannels / kResultChannels][Config::kTokens][kLineBytes];
  uint64_t full[Config::kStages];
  uint64_t empty[Config::kStages];
};

// A tile, or one split of its sum over K.
struct WorkItem {
  int64_t first_channel, first_token;
  int split;
  int k_tile_begin, k_tile_end;
};

// All work, numbered; a block takes every gridDim.x-th item.
template <class Config>
struct Schedule {
  int channel_tiles, token_tiles, k_tiles, splits;

  __host__ __device__ explicit Schedule(const Args& args)
      : channel_tiles(static_cast<int>(ceil_div(args.n, Config::kChannels))),
        token_tiles(static_cast<int>(ceil_div(args.m, Config::kTokens))),
        k_tiles(static_cast<int>(args.k / kTileK)),
        splits(args.splits) {}

  __host__ __device__ int64_t items() const { return int64_t{channel_tiles} * token_tiles * splits; }

  // Items that run at the same time form a patch of kGroupTiles token tiles by some channel tiles. All items but the
  // first then read the activations and weights of the patch from L2. 4096 rows of 28672 x 4096: 1425 us with 4 tiles
  // of 256 tokens, 1441 with 8, 1449 with 16.
  __device__ __forceinline__ WorkItem operator()(int64_t item) const {
    constexpr int kGroupTiles = 4;
    const int64_t tiles = int64_t{channel_tiles} * token_tiles;
    const int64_t split = item / tiles, tile = item % tiles;
    const int64_t group_size = int64_t{kGroupTiles} * channel_tiles;
    const int group = static_cast<int>(tile / group_size), in_group = static_cast<int>(tile % group_size);
    const int group_tokens = min(kGroupTiles, token_tiles - group * kGroupTiles);
    return {static_cast<int64_t>(in_group / group_tokens) * Config::kChannels,
            static_cast<int64_t>(group * kGroupTiles + in_group % group_tokens) * Config::kTokens,
            static_cast<int>(split), static_cast<int>(k_tiles * split / splits),
            static_cast<int>(k_tiles * (split + 1) / splits)};
  }
};

// ---- The filling warp -----------------------------------------------------------------------------------------------

// Scales and zeros of a K tile by cp.async, four channels a copy. The second run has its own only if groups are as
// short as a run.
template <class Config>
__device__ __forceinline__ void copy_scales(Stage<Config>& stage, const Args& args, int64_t first_channel, int k_tile) {
#pragma unroll
  for (int run = 0; run < kRunsPerTile; ++run) {
    if (run > 0 && args.runs_per_group > 1) break;
    const int64_t group = static_cast<uint32_t>(k_tile * kRunsPerTile + run) / args.runs_per_group;
    const int64_t row = group * args.scales_row_stride_elems;
#pragma unroll
    for (int quad = threadIdx.x % 32; quad < Config::kChannels / 4; quad += 32) {
      const int64_t channel = first_channel + 4 * quad;
      const bool valid = channel < args.n;
      const int64_t offset = valid ? row + channel : 0;
      ptx::cp_async<8>(&stage.scales[run][4 * quad], static_cast<const uint16_t*>(args.scales) + offset, valid);
      ptx::cp_async<8>(&stage.zeros[run][4 * quad], static_cast<const uint16_t*>(args.zeros) + offset, valid);
    }
  }
}

// All K tiles of all the block's items, as far ahead as the ring allows.
template <class Config, class Layout>
__device__ __forceinline__ void fill_stages(SharedStorage<Config>& shared, const Args& args, const CUtensorMap& in_map,
                                            const CUtensorMap& weights_map) {
  using Traits = CopyTraits<Layout>;
  const Schedule<Config> schedule(args);
  const bool weights_once = schedule.token_tiles == 1;  // then they need not stay in L2
  const uint64_t evict_first = ptx::evict_first_policy();
  RingPosition position;
  position.parity = 1;  // all stages are empty
  for (int64_t i = blockIdx.x; i < schedule.items(); i += gridDim.x) {
    const WorkItem item = schedule(i);
    for (int k_tile = item.k_tile_begin; k_tile < item.k_tile_end; ++k_tile) {
      Stage<Config>& stage = shared.stages[position.stage];
      uint64_t* full = &shared.full[position.stage];
      ptx::mbarrier_wait(&shared.empty[position.stage], position.parity);
      if (threadIdx.x % 32 == 0) {
        ptx::mbarrier_arrive_expect(full, sizeof(stage.activations) + sizeof(stage.weights));
        ptx::copy_box(stage.activations, in_map, k_tile * kTileK, static_cast<int>(item.first_token), full);
        const int column = k_tile * Traits::kChannelsPerRow * kChannelTileBytes;
        const int row = static_cast<int>(item.first_channel / Traits::kChannelsPerRow);
        if (weights_once) {
          ptx::copy_box(stage.weights, weights_map, column, row, full, evict_first);
        } else {
          ptx::copy_box(stage.weights, weights_map, column, row, full);
        }
      }
      if constexpr (Traits::kCopiesScales) {
        copy_scales<Config>(stage, args, item.first_channel, k_tile);
        ptx::mbarrier_arrive_after_cp_async(full);
      }
      position.advance(Config::kStages);
    }
  }
}

// ---- The multiplying warpgroups -------------------------------------------------------------------------------------

template <class Config>
__device__ __forceinline__ int first_lane_channel() {  // of the block's; warps follow one another
  return threadIdx.x / 4 * 2 * Config::kRowTiles;
}

// Operands A of one step.
template <class Config>
using Operands = uint32_t[Config::kRowTiles][4];

// A lane's share of a K tile of weights and the scales of its channels:
//   start_item()             before an item's first tile
//   load_tile()              the tile's words, and the scales of its first run
//   load_scales_of_run_1()   where that run has its own
//   pair(run, i, channel)    the weights of columns 8i + 2c and 8i + 2c + 1 of a run, for lane 4g + c
template <class Config, class Layout>
struct LaneWeights;

// A word per run and channel; each scale and zero twice in a register.
template <class Config>
struct LaneWeights<Config, LayoutV2> {
  static constexpr int kLaneChannels = 2 * Config::kRowTiles;
  static_assert(kLaneChannels == 2 || kLaneChannels == 4, "half a line or a line");

  uint32_t words[kRunsPerTile][kLaneChannels];
  uint32_t scale[kLaneChannels], zero[kLaneChannels];

  __device__ __forceinline__ void start_item(const Args&, const WorkItem&) {}

  __device__ __forceinline__ void load_tile(const Stage<Config>& stage, const Args&, const WorkItem&, int) {
    const int row = threadIdx.x % 8, matrix = threadIdx.x % 32 / 8;  // as ldmatrix takes addresses
    const auto load = [&](uint32_t (&fragment)[4], int i, int run) {
      const int channel = threadIdx.x / 32 * 8 * kLaneChannels + row * kLaneChannels + i;
      const int line = channel / 4, chunk = 2 * (channel % 4) + run;
      ptx::ldmatrix_x4(fragment, ptx::smem_address(&stage.weights[line][(chunk ^ line % kLineChunks) * kChunkBytes]));
    };
    if constexpr (kLaneChannels == 4) {
      load(words[0], matrix, 0);
      load(words[1], matrix, 1);
    } else {
      uint32_t fragment[4];
      load(fragment, matrix % 2, matrix / 2);
#pragma unroll
      for (int i = 0; i < 4; ++i) words[i / 2][i % 2] = fragment[i];
    }
    load_scales(stage, 0);
  }

  __device__ __forceinline__ void load_scales_of_run_1(const Stage<Config>& stage) { load_scales(stage, 1); }

  template <class T>
  __device__ __forceinline__ uint32_t pair(int run, int i, int channel) const {
    return LayoutV2::dequantize<T>(words[run][channel], i, scale[channel], zero[channel]);
  }

 private:
  __device__ __forceinline__ void load_scales(const Stage<Config>& stage, int run) {
    uint32_t scales[Config::kRowTiles], zeros[Config::kRowTiles];  // two channels each
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; ++t) {
      const int channel = first_lane_channel<Config>() + 2 * t;
      scales[t] = *reinterpret_cast<const uint32_t*>(&stage.scales[run][channel]);
      zeros[t] = *reinterpret_cast<const uint32_t*>(&stage.zeros[run][channel]);
    }
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      scale[i] = broadcast_half(scales[i / 2], i % 2);
      zero[i] = broadcast_half(zeros[i / 2], i % 2);
    }
  }
};

// Whole runs, as each of a run's words holds a part of what the lane wants: columns 2c and 2c + 1 of its eight, byte c.
// Scales come from global memory, a tile ahead.
template <class Config>
struct LaneWeights<Config, LayoutV1> {
  static constexpr int kLaneChannels = 2 * Config::kRowTiles;

  uint32_t words[kRunsPerTile][kLaneChannels][4];
  uint32_t scale[kLaneChannels], minus_zero[kLaneChannels];  // -(1024 + zero point) and -(64 + zero point)
  ChannelScale next[kLaneChannels];

  __device__ __forceinline__ void start_item(const Args& args, const WorkItem& item) {
    request_scales(args, item, item.k_tile_begin);
  }

  __device__ __forceinline__ void load_tile(const Stage<Config>& stage, const Args& args, const WorkItem& item,
                                            int k_tile) {
#pragma unroll
    for (int run = 0; run < kRunsPerTile; ++run) {
#pragma unroll
      for (int i = 0; i < kLaneChannels; ++i) {
        const int channel = first_lane_channel<Config>() + i, line = channel / 4, chunk = 2 * (channel % 4) + run;
        // The permutation of rows as short as 32 bytes.
        const auto& q = *reinterpret_cast<const uint4*>(&stage.weights[line][(chunk ^ line % 2) * kChunkBytes]);
        words[run][i][0] = q.x, words[run][i][1] = q.y, words[run][i][2] = q.z, words[run][i][3] = q.w;
      }
    }
    constexpr uint32_t kZeroAnd960 = 0x6380'0000;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      scale[i] = broadcast_half(next[i].scale, 0);
      minus_zero[i] = Pair<__half>::sub(kZeroAnd960, broadcast_half(next[i].zero, 0));
    }
    request_scales(args, item, min(k_tile + 1, item.k_tile_end - 1));
  }

  __device__ __forceinline__ void load_scales_of_run_1(const Stage<Config>&) {}  // groups are two runs or more

  // Columns 2c and 2c + 1 are the nibbles of a byte: the first reads as 1024 + q, the second, which stays in place, as
  // 1024 + 16 q.
  template <class T>
  __device__ __forceinline__ uint32_t pair(int run, int i, int channel) const {
    constexpr uint32_t kOneAndSixteenth = 0x2c00'3c00;
    const uint32_t byte_twice = __byte_perm(words[run][channel][i], 0, 0x4040 | threadIdx.x % 4 * 0x0101);
    const uint32_t integers = ptx::and_or(byte_twice, 0x00f0'000f, Pair<__half>::kMagic);
    return Pair<__half>::mul(Pair<__half>::fma(integers, kOneAndSixteenth, minus_zero[channel]), scale[channel]);
  }

 private:
  __device__ __forceinline__ void request_scales(const Args& args, const WorkItem& item, int k_tile) {
    const int64_t group = static_cast<uint32_t>(k_tile * kRunsPerTile) / args.runs_per_group;
    // n is a multiple of 8: a lane's channels exist together. For those past n, others that are not stored.
    const int64_t channel = min(item.first_channel + first_lane_channel<Config>(), args.n - kLaneChannels);
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) next[i] = LayoutV1::load_scale(args, channel + i, group);
  }
};

template <class Config, class T, class Layout>
__device__ __forceinline__ void dequantize(Operands<Config>& a, const LaneWeights<Config, Layout>& weights, int step) {
  const int run = step / kStepsPerRun, first_pair = 2 * (step % kStepsPerRun);
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // row g or g + 8 of the lower, then of the upper eight columns
      a[t][i] = weights.template pair<T>(run, first_pair + i / 2, 2 * t + i % 2);
    }
    ptx::pin(a[t]);
  }
}

template <class Config>
using Sums = float[Config::kRowTiles][Config::kTokens / 2];

// Starts the products of a step as a group; `activations` describes the tile's.
template <class Config, class T>
__device__ __forceinline__ void start_products(Sums<Config>& sum, const Operands<Config>& a, uint64_t activations,
                                               int step, bool accumulate) {
  ptx::wgmma_fence();
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; ++t) {
    ptx::wgmma<T>(sum[t], a[t], activations + step * ptx::kDescriptorStep, accumulate);
  }
  ptx::wgmma_commit();
}

// Calls store(token within the item, sums of the lane's channels) for all tokens of the lane: two in eight.
template <class Config, class Store>
__device__ __forceinline__ void for_each_token(const Sums<Config>& sum, Store&& store) {
#pragma unroll
  for (int j = 0; j < Config::kTokens / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float value[2 * Config::kRowTiles];
#pragma unroll
      for (int c = 0; c < 2 * Config::kRowTiles; ++c) value[c] = sum[c / 2][4 * j + c % 2 * 2 + i];
      store(8 * j + 2 * (threadIdx.x % 4) + i, value);
    }
  }
}

template <class Config>
__device__ __forceinline__ void store_partials(const Sums<Config>& sum, const Args& args, const WorkItem& item) {
  const int64_t channel = item.first_channel + first_lane_channel<Config>();
  if (channel >= args.n) return;  // n is a multiple of 8: a lane's channels exist together
  const int64_t tokens = args.m - item.first_token;
  float* partials = args.partials + (item.split * args.m + item.first_token) * args.n + channel;
  for_each_token<Config>(sum, [&](int token, const float (&value)[2 * Config::kRowTiles]) {
    if (token >= tokens) return;
    if constexpr (Config::kRowTiles == 2) {
      *reinterpret_cast<float4*>(partials + token * args.n) = {value[0], value[1], value[2], value[3]};
    } else {
      *reinterpret_cast<float2*>(partials + token * args.n) = {value[0], value[1]};
    }
  });
}

// By way of shared memory: the copy engine writes whole lines while the warps go on with the next item. Stores from
// registers, 32 bytes of a token at a time, took 368 us where this takes 352 (1024 rows of 28672 x 4096).
template <class Config, class T>
__device__ __forceinline__ void store_results(const Sums<Config>& sum, SharedStorage<Config>& shared,
                                              const CUtensorMap& out_map, const WorkItem& item) {
  const int warpgroup = threadIdx.x / kWarpgroupThreads;
  const bool copies = threadIdx.x % kWarpgroupThreads == 0;
  if (copies) ptx::store_box_wait_read();  // the results of the item before
  ptx::named_barrier<kWarpgroupThreads>(1 + warpgroup);

  const int channel = first_lane_channel<Config>();
  const int byte = channel % kResultChannels * 2;
  auto& rows = shared.results[channel / kResultChannels];
  for_each_token<Config>(sum, [&](int token, const float (&value)[2 * Config::kRowTiles]) {
    uint8_t* address = &rows[token][swizzle(byte / kChunkBytes, token) * kChunkBytes + byte % kChunkBytes];
    if constexpr (Config::kRowTiles == 2) {
      *reinterpret_cast<uint2*>(address) = {narrow_pair<T>(value[0], value[1]), narrow_pair<T>(value[2], value[3])};
    } else {
      *reinterpret_cast<uint32_t*>(address) = narrow_pair<T>(value[0], value[1]);
    }
  });

  ptx::fence_before_store_box();
  ptx::named_barrier<kWarpgroupThreads>(1 + warpgroup);
  if (!copies) return;
#pragma unroll
  for (int t = 0; t < Config::kRowTiles; ++t) {
    const int i = warpgroup * Config::kRowTiles + t;
    ptx::store_box(out_map, static_cast<int>(item.first_channel) + i * kResultChannels,
                   static_cast<int>(item.first_token), shared.results[i]);
  }
  ptx::store_box_commit();
}

// While the products of a step run, the next step's weights are dequantized into the other of two sets of operands. Two
// steps at a time were slower: 342 us instead of 327 for 1024 rows of 28672 x 4096, 39.8 instead of 38.3 for 64. (With
// more sets, and more than one group under way while one is written, the compiler lets every product wait.)
template <class Config, class T, class Layout>
__device__ __forceinline__ void multiply_items(SharedStorage<Config>& shared, const Args& args,
                                               const CUtensorMap& out_map) {
  constexpr int kSteps = kRunsPerTile * kStepsPerRun;
  static_assert(kSteps % 2 == 0, "a tile starts with the first set of operands");
  const bool one_group = args.runs_per_group > 1;  // else the runs of a tile have scales of their own
  const Schedule<Config> schedule(args);
  RingPosition position;
  for (int64_t i = blockIdx.x; i < schedule.items(); i += gridDim.x) {
    const WorkItem item = schedule(i);
    Sums<Config> sum;
    Operands<Config> a[2];
    LaneWeights<Config, Layout> weights;
    const auto load_tile = [&](int k_tile) {
      ptx::mbarrier_wait(&shared.full[position.stage], position.parity);
      weights.load_tile(shared.stages[position.stage], args, item, k_tile);
    };
    // Each lane arrives for its own reads. One arrival for a warp after a __syncwarp() took the same time, but
    // racecheck does not see that it stands for the other lanes.
    const auto hand_back = [&](int stage) { ptx::mbarrier_arrive(&shared.empty[stage]); };
    weights.start_item(args, item);
    load_tile(item.k_tile_begin);
    dequantize<Config, T>(a[0], weights, 0);
    int previous = 0;
    for (int k_tile = item.k_tile_begin; k_tile < item.k_tile_end; ++k_tile) {
      const bool first = k_tile == item.k_tile_begin;
      const int current = position.stage;
      const uint64_t activations = ptx::wgmma_descriptor(shared.stages[current].activations);
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        start_products<Config, T>(sum, a[step % 2], activations, step, !first || step > 0);
        ptx::wgmma_wait<1>();  // the step before, whose operands are replaced now
        if (step == 0 && !first) hand_back(previous);
        const int next_step = (step + 1) % kSteps;
        if (next_step == kStepsPerRun && !one_group) weights.load_scales_of_run_1(shared.stages[current]);
        // After an item's last step this is of no use, but costs less than a branch.
        dequantize<Config, T>(a[(step + 1) % 2], weights, next_step);
        if (step == kSteps - 2) {  // the tile's last words are in use, the next tile's may come
          previous = current;
          position.advance(Config::kStages);
          if (k_tile + 1 < item.k_tile_end) load_tile(k_tile + 1);
        }
      }
    }
    ptx::wgmma_wait<0>();
#pragma unroll
    for (int t = 0; t < Config::kRowTiles; ++t) ptx::pin(sum[t]);
    hand_back(previous);
    if (args.splits > 1) {
      store_partials<Config>(sum, args, item);
    } else {
      store_results<Config, T>(sum, shared, out_map, item);
    }
  }
  ptx::store_box_wait_read();  // shared memory ends with the block
}

// ---- Kernel and launch ----------------------------------------------------------------------------------------------

template <class Config, class T, class Layout>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    gemm_kernel(const __grid_constant__ Args args, const __grid_constant__ CUtensorMap in_map,
                const __grid_constant__ CUtensorMap weights_map, const __grid_constant__ CUtensorMap out_map) {
  extern __shared__ __align__(1024) uint8_t smem[];
  auto& shared = *reinterpret_cast<SharedStorage<Config>*>(smem);
  static_assert(sizeof(Stage<Config>) == Config::kStageBytes && sizeof(shared.results) == Config::kResultBytes &&
                    sizeof(SharedStorage<Config>) <= Config::kSmemBytes,
                "GemmSm90Config counts every array");
  using Traits = CopyTraits<Layout>;
  constexpr int kConsumerThreads = Config::kConsumers * kWarpgroupThreads;

  if (threadIdx.x == 0) {
    ptx::prefetch_map(in_map);
    ptx::prefetch_map(weights_map);
    for (int i = 0; i < Config::kStages; ++i) {
      // The announcement, and each lane's copies of scales.
      ptx::mbarrier_init(&shared.full[i], 1 + (Traits::kCopiesScales ? Traits::kFillingLanes : 0));
      ptx::mbarrier_init(&shared.empty[i], kConsumerThreads);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();

  if (threadIdx.x >= kConsumerThreads) {
    ptx::release_registers<ptx::RegisterSplit<Config::kConsumers>::kProducer>();
    if (threadIdx.x < kConsumerThreads + Traits::kFillingLanes)
      fill_stages<Config, Layout>(shared, args, in_map, weights_map);
  } else {
    ptx::acquire_registers<ptx::RegisterSplit<Config::kConsumers>::kConsumer>();
    multiply_items<Config, T, Layout>(shared, args, out_map);
  }
}

}  // namespace sm90

template <class Config, class T, class Layout>
cudaError_t launch_gemm_sm90(const Args& args, const DeviceInfo& device, cudaStream_t stream) {
  CUtensorMap in_map, weights_map, out_map;
  cudaError_t error = describe_matrix(&in_map, args.in, 2, args.m, args.k * 2, Config::kTokens);
  if (error == cudaSuccess) {
    constexpr int kChannelsPerRow = sm90::CopyTraits<Layout>::kChannelsPerRow;
    error = describe_matrix(&weights_map, args.weights, 1, args.n / kChannelsPerRow, args.k / 2 * kChannelsPerRow,
                            Config::kChannels / kChannelsPerRow, kChannelsPerRow * sm90::kChannelTileBytes);
  }
  if (error == cudaSuccess) {
    error = describe_matrix(&out_map, args.out, 2, args.m, args.n * 2, Config::kTokens);
  }
  const auto kernel = sm90::gemm_kernel<Config, T, Layout>;
  if (error == cudaSuccess) {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSmemBytes);
  }
  if (error != cudaSuccess) return error;

  const int64_t items = sm90::Schedule<Config>(args).items();
  const int64_t slots = int64_t{Config::kBlocksPerSm} * device.sm_count;
  const auto grid = static_cast<unsigned>(items < slots ? items : slots);
  kernel<<<grid, Config::kThreads, Config::kSmemBytes, stream>>>(args, in_map, weights_map, out_map);
  error = checked_launch();
  if (error != cudaSuccess || args.splits == 1) return error;
  return launch_add_partials<T, OnHopper>(args, stream);
}

}  // namespace awq::w4a16

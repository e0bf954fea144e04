// Few rows on Hopper: weights stream through shared memory without a pause.
//
// Each SM has two persistent blocks. A block takes one tile of 16 channels after another. The copy engine fills a ring
// of tiles in shared memory. Up to 190 KB are in flight to every SM from the first microsecond to the last. The warps
// that multiply spend no instructions and registers on that. The last warp that has read a tile starts the copies of
// another tile to its place.
//
// A warp takes four steps of 128 columns for all channels of the tile. Their activations stay in registers.
//
// An mma has 16 rows and 8 columns. If there are fewer tokens than columns, the mma has room for several parts of K.
// With kParts = 4, the rows are four channels in four steps along K each. The columns are two tokens in the same four
// steps. Products of different steps are ignored. The number of products stays the same. The registers for activations
// are a quarter.
//
// Measured on an H200, one row of 28672 x 4096 in a graph, in us. This kernel takes 18.3. A ring without products takes
// 14.8, the time of reading alone. These variants were slower:
//   - one block on an SM: 18.9;
//   - a separate ring for each warp, filled by copies of 1 KB: 20.0, of 512 bytes: 23.0, of 256 bytes: 28.6. Each copy
//     costs the copy engine 6 ns, whatever its size;
//   - an atomic counter with release and acquire instead of the barrier beside it: 20.4. The fence waits for the scales
//     in flight.
//
//   lane 4g + c of a warp, per line of 64 columns:  rows g and 8 + g, of each the 8 bytes c of the line
//   row group R, rows 4R .. 4R + 3:                 channels of one quad (quad_of) in one step (step_of)
//   column:                                         part * kTokens + token
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <type_traits>

#include "csrc/common/device.h"
#include "csrc/common/launch.cuh"
#include "csrc/common/mma.cuh"
#include "csrc/common/ptx_sm90.cuh"
#include "csrc/common/ring.cuh"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {
namespace sm90 {

constexpr int kLineElems = 64;  // of each of four channels
constexpr int kStepLines = kStepElems / kLineElems;
constexpr int kQuadStepBytes = kStepLines * kLineBytes;  // of four channels
constexpr int kWarpSteps = 4;                            // of a stage

// Which quad of channels, and which of a warp's four steps, row group `group` of the j-th 16 rows holds.
template <class Config>
__device__ constexpr int quad_of(int j, int group) {
  return Config::kParts == 1 ? group : Config::kParts == 2 ? 2 * (j % 2) + group % 2 : j;
}
template <class Config>
__device__ constexpr int step_of(int j, int group) {
  return Config::kParts == 1 ? j : Config::kParts == 2 ? 2 * (j / 2) + group / 2 : group;
}

// How the work of a launch divides.
struct StreamShape {
  int tiles;                  // of kChannels channels
  int steps;                  // of a row
  int sum_slots;              // how many tiles' sums shared memory has room for
  uint32_t group_reciprocal;  // for group_of()
};

template <class Config>
struct StreamStorage {
  static constexpr int kStageSteps = kWarpSteps * Config::kWarps;
  alignas(128) uint8_t weights[Config::kStages][Config::kChannels / 4][kStageSteps][kQuadStepBytes];
  // Of a warp's steps of the tiles ahead: 16 scales, 16 zeros.
  alignas(16) uint16_t scales[Config::kWarps][Config::kScaleTiles][kWarpSteps][2][Config::kChannels];
  float sums[Config::kSumFloats];     // [slot][warp][token][kSumStride]
  uint64_t full[Config::kStages];     // with weights
  uint64_t read[Config::kStages];     // by all warps
  uint32_t readers[Config::kStages];  // how many warps have read it
};

// Starts the copies of a tile, of lane i < 4 those of channels 4i .. 4i + 3.
template <class Config>
__device__ __forceinline__ void fill_stage(const Args& args, int tile, int stage, StreamStorage<Config>& storage) {
  constexpr int kQuads = Config::kChannels / 4;
  const int lane = threadIdx.x % 32;
  if (lane >= kQuads) return;
  const int bytes = static_cast<int>(args.k / kLineElems) * kLineBytes;
  const uint8_t* source = static_cast<const uint8_t*>(args.weights) + (int64_t{tile} * kQuads + lane) * bytes;
  ptx::mbarrier_arrive_expect(&storage.full[stage], bytes);
  ptx::copy_bytes(storage.weights[stage][lane], source, bytes, &storage.full[stage], ptx::evict_first_policy());
}

// Copies the scales of a warp's steps of a tile; zeros for steps past K. Lane 4s + i copies a half of the scales (i <
// 2) or of the zeros of step s.
template <class Config>
struct ScaleCopier {
  static constexpr int kTileScales = kWarpSteps * 2 * Config::kChannels;
  const uint16_t* source;  // of channel 0
  uint16_t* target;        // of slot 0
  bool copies, exists;

  __device__ __forceinline__ ScaleCopier(const Args& args, const StreamShape& shape, StreamStorage<Config>& storage) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, step = warp * kWarpSteps + lane / 4;
    const int64_t group = group_of(shape.group_reciprocal, min(step, shape.steps - 1));
    source = static_cast<const uint16_t*>(lane % 4 < 2 ? args.scales : args.zeros) + group * args.n + lane % 2 * 8;
    target = &storage.scales[warp][0][0][0][0] + lane * 8;
    copies = lane < 4 * kWarpSteps;
    exists = step < shape.steps;
  }

  __device__ __forceinline__ void start(int tile, int end_tile, int slot) const {
    if (copies && tile < end_tile) {
      ptx::cp_async<16>(target + slot * kTileScales, source + tile * Config::kChannels, exists);
    }
    ptx::cp_async_commit();
  }
};

// The activations of a warp's columns and their sums by step, in registers.
template <class Config, class T>
struct RegisterActivations {
  static constexpr int kSets = kWarpSteps / Config::kParts;
  uint2 x[kSets][kStepLines][4];
  float sums[kSets][2];  // of columns 2c and 2c + 1

  __device__ __forceinline__ void load(const Args& args, const StreamShape& shape) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, c = lane % 4;
    const int part = lane / 4 / Config::kTokens;
    // Columns past M repeat the last token; their sums are not stored.
    const int token = min(lane / 4 % Config::kTokens, static_cast<int>(args.m) - 1);
    const int first_step = warp * kWarpSteps + part;
    const uint8_t* source =
        static_cast<const uint8_t*>(args.in) + (token * args.k + first_step * kStepElems) * 2 + c / 2 * 64 + c % 2 * 8;
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      const int step = set * Config::kParts;
#pragma unroll
      for (int line = 0; line < kStepLines; ++line) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint8_t* from = source + (step * kStepElems + line * kLineElems + i * 8) * 2;
          x[set][line][i] = first_step + step < shape.steps ? *reinterpret_cast<const uint2*>(from) : make_uint2(0, 0);
        }
      }
    }
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      const uint32_t ones[4] = {Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes};
      float sum[4] = {};
#pragma unroll
      for (int line = 0; line < kStepLines; ++line) {
#pragma unroll
        for (int i = 0; i < 4; ++i) mma_m16n8k16<T>(sum, ones, x[set][line][i].x, x[set][line][i].y);
      }
      sums[set][0] = sum[0], sums[set][1] = sum[1];
    }
  }
};

// Adds the products of the j-th 16 rows of a warp's steps to the sums of rows g and 8 + g, columns 2c and 2c + 1:
//   sum over k of (s * q + z) * x  =  s * sum of q * x  +  z * sum of x
template <class Config, class T>
__device__ __forceinline__ void multiply_rows(
    float (&sum)[4], const uint8_t (*quads)[StreamStorage<Config>::kStageSteps][kQuadStepBytes],
    const uint16_t (*scales)[2][Config::kChannels], const uint2 (&x)[kStepLines][4], const float (&x_sums)[2], int j) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint2 words[2][kStepLines];
  float scale[2], offset[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int group = 2 * r + lane / 16, quad = quad_of<Config>(j, group), step = step_of<Config>(j, group);
    const uint8_t* source = quads[quad][warp * kWarpSteps + step] + lane % 16 * 8;
#pragma unroll
    for (int line = 0; line < kStepLines; ++line) {
      words[r][line] = *reinterpret_cast<const uint2*>(source + line * kLineBytes);
    }
    const int channel = quad * 4 + lane / 4 % 4;
    scale[r] = widen_bits<T>(scales[step][0][channel]);
    offset[r] = widen_bits<T>(scales[step][1][channel]);
  }
  float products[2][4] = {};  // of even and odd pairs
#pragma unroll
  for (int line = 0; line < kStepLines; ++line) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t a[4] = {
          Integers<T>::unpack_scaled(words[0][line].x, i), Integers<T>::unpack_scaled(words[1][line].x, i),
          Integers<T>::unpack_scaled(words[0][line].y, i), Integers<T>::unpack_scaled(words[1][line].y, i)};
      mma_m16n8k16<T>(products[i % 2], a, x[line][i].x, x[line][i].y);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if constexpr (Integers<T>::kOffset != 0) offset[r] = fmaf(scale[r], -Integers<T>::kOffset, offset[r]);
    const float integer_scale = scale[r] * Integers<T>::kIntegerScale;
#pragma unroll
    for (int column = 0; column < 2; ++column) {
      const int i = 2 * r + column;
      const float product = fmaf(products[1][i], Integers<T>::kOddPairScale, products[0][i]);
      sum[i] = fmaf(offset[r], x_sums[column], fmaf(integer_scale, product, sum[i]));
    }
  }
}

// Stores a warp's sums of a tile, the parts added up.
template <class Config>
__device__ __forceinline__ void store_sums(const float (&sum)[Config::kParts][4], float* to, int tokens) {
  const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  if constexpr (Config::kParts == 1) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = 2 * c + i % 2;
      if (token < tokens) to[token * Config::kSumStride + i / 2 * 8 + g] = sum[0][i];
    }
  } else if constexpr (Config::kParts == 2) {
    // Part p is what lanes with c / 2 == p have of rows 8p .. 8p + 7. Each of two such lanes gets the sum of one set.
    const bool first = c < 2;
#pragma unroll
    for (int column = 0; column < 2; ++column) {
      const float mine[2] = {first ? sum[0][column] : sum[0][2 + column], first ? sum[1][column] : sum[1][2 + column]};
      const float total = (first ? mine[0] : mine[1]) + __shfl_xor_sync(kAllLanes, first ? mine[1] : mine[0], 2);
      const int token = c % 2 * 2 + column;
      if (token < tokens) to[token * Config::kSumStride + c / 2 * 8 + g] = total;
    }
  } else {
    // Part p is what lanes with c == p and g / 4 == p % 2 have of rows 4p .. 4p + 3. Of four such lanes each gets the
    // sum of one quad, its p-th.
    const bool low = c < 2, even = c % 2 == 0;
#pragma unroll
    for (int column = 0; column < 2; ++column) {
      if (column >= tokens) break;
      float mine[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) mine[j] = low ? sum[j][column] : sum[j][2 + column];
      const float pair[2] = {(low ? mine[0] : mine[2]) + __shfl_xor_sync(kAllLanes, low ? mine[2] : mine[0], 2),
                             (low ? mine[1] : mine[3]) + __shfl_xor_sync(kAllLanes, low ? mine[3] : mine[1], 2)};
      const float total = (even ? pair[0] : pair[1]) + __shfl_xor_sync(kAllLanes, even ? pair[1] : pair[0], 17);
      if (g / 4 == c % 2) to[column * Config::kSumStride + c * 4 + g % 4] = total;
    }
  }
}

// The warps' sums of the last `slots` tiles, added in the order of the warps.
template <class Config, class T>
__device__ __forceinline__ void add_warps(const Args& args, int first_tile, int slots, StreamStorage<Config>& storage) {
  const int tokens = static_cast<int>(args.m), outputs = tokens * Config::kChannels;
  for (int i = threadIdx.x; i < slots * outputs; i += Config::kThreads) {
    const int slot = i / outputs, token = i % outputs / Config::kChannels, channel = i % Config::kChannels;
    const float* from = storage.sums + (slot * Config::kWarps * tokens + token) * Config::kSumStride + channel;
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < Config::kWarps; ++warp) sum += from[warp * tokens * Config::kSumStride];
    static_cast<T*>(args.out)[token * args.n + (first_tile + slot) * Config::kChannels + channel] = T(sum);
  }
}

template <class Config, class T>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    stream_kernel(const __grid_constant__ Args args, const __grid_constant__ StreamShape shape) {
  extern __shared__ __align__(128) uint8_t smem[];
  auto& storage = *reinterpret_cast<StreamStorage<Config>*>(smem);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  // The first blocks take one tile more than the others.
  const int blocks = gridDim.x, block = blockIdx.x, more = shape.tiles % blocks;
  const int first_tile = block * (shape.tiles / blocks) + min(block, more);
  const int end_tile = first_tile + shape.tiles / blocks + (block < more);
  if (threadIdx.x < Config::kStages) {
    ptx::mbarrier_init(&storage.full[threadIdx.x], Config::kChannels / 4);
    ptx::mbarrier_init(&storage.read[threadIdx.x], Config::kWarps);
    storage.readers[threadIdx.x] = 0;
    ptx::fence_mbarrier_init();
  }
  __syncthreads();

  if (!args.constant_weights) ptx::wait_for_previous_kernel();
  if (warp == 0) {
#pragma unroll
    for (int i = 0; i < Config::kStages; ++i) {
      if (first_tile + i < end_tile) fill_stage(args, first_tile + i, i, storage);
    }
  }
  const ScaleCopier<Config> scale_copier(args, shape, storage);
#pragma unroll
  for (int i = 0; i < Config::kScaleTiles - 1; ++i) scale_copier.start(first_tile + i, end_tile, i);
  if (args.constant_weights) ptx::wait_for_previous_kernel();
  RegisterActivations<Config, T> activations;
  activations.load(args, shape);

  const int tokens = static_cast<int>(args.m);
  RingPosition at;
  int scale_slot = 0, sum_slot = 0;
#pragma unroll 1
  for (int tile = first_tile; tile < end_tile; ++tile) {
    float sum[Config::kParts][4] = {};
    ptx::cp_async_wait<Config::kScaleTiles - 2>();
    __syncwarp();
    ptx::mbarrier_wait(&storage.full[at.stage], at.parity);
#pragma unroll
    for (int j = 0; j < kWarpSteps; ++j) {
      const int set = j / Config::kParts;
      multiply_rows<Config, T>(sum[j % Config::kParts], storage.weights[at.stage], storage.scales[warp][scale_slot],
                               activations.x[set], activations.sums[set], j);
    }
    __syncwarp();
    // The barrier orders what the warps have read before the copies, the counter tells who is the last.
    uint32_t readers = 0;
    if (lane == 0) {
      ptx::mbarrier_arrive(&storage.read[at.stage]);
      readers = ptx::increment_shared(&storage.readers[at.stage], Config::kWarps - 1);
    }
    scale_copier.start(tile + Config::kScaleTiles - 1, end_tile,
                       scale_slot == 0 ? Config::kScaleTiles - 1 : scale_slot - 1);
    if (__shfl_sync(kAllLanes, readers, 0) == Config::kWarps - 1 && tile + Config::kStages < end_tile) {
      ptx::mbarrier_wait(&storage.read[at.stage], at.parity);
      fill_stage(args, tile + Config::kStages, at.stage, storage);
    }
    at.advance(Config::kStages);
    if (++scale_slot == Config::kScaleTiles) scale_slot = 0;

    if (tile + 1 == end_tile) ptx::allow_next_kernel();
    store_sums<Config>(sum, storage.sums + (sum_slot * Config::kWarps + warp) * tokens * Config::kSumStride, tokens);
    if (++sum_slot < shape.sum_slots && tile + 1 < end_tile) continue;
    __syncthreads();
    add_warps<Config, T>(args, tile + 1 - sum_slot, sum_slot, storage);
    if (tile + 1 < end_tile) __syncthreads();  // before the sums are overwritten
    sum_slot = 0;
  }
}

}  // namespace sm90

template <class Config, class T, class Layout>
cudaError_t launch_gemv_sm90(const Args& args, const DeviceInfo& device, cudaStream_t stream) {
  static_assert(std::is_same_v<Layout, LayoutV2>, "lines of four channels");
  using Storage = sm90::StreamStorage<Config>;
  static_assert(sizeof(Storage) <= Config::kMaxSmemBytes, "two blocks to an SM");
  static_assert(Storage::kStageSteps * kStepElems == Config::kMaxK, "as the host counts");
  sm90::StreamShape shape;
  shape.tiles = static_cast<int>(args.n / Config::kChannels);
  shape.steps = static_cast<int>(args.k / kStepElems);
  shape.sum_slots = static_cast<int>(Config::kSumFloats / (Config::kWarps * args.m * Config::kSumStride));
  shape.group_reciprocal = group_reciprocal(args);
  const auto kernel = sm90::stream_kernel<Config, T>;
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Storage));
  if (error != cudaSuccess) return error;
  const auto blocks = static_cast<unsigned>(std::min(shape.tiles, Config::kBlocksPerSm * device.sm_count));
  return launch_kernel(kernel, {blocks, Config::kThreads, sizeof(Storage)}, /*overlap=*/true, stream, args, shape);
}

}  // namespace awq::w4a16

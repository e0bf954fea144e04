// Few rows, with persistent blocks. A block takes one tile of 32 channels after another.
//
// Each SM has one block. A warp loads the weights of the next tile while it multiplies those of the last tile. Its sums
// wait in shared memory for those of the other warps. As long as there is room, no barrier delays the warp. Warps share
// out K in steps and read weights as in gemv.cuh.
//
// This pays for more than 8 rows. Their operands need registers that several small blocks do not have. The activations
// and their sums stay in shared memory for all tiles. Up to 8 rows the kernel of gemv.cuh is as fast or faster (7 rows
// of 6144 x 4096: 12.0 us, here 13.4).
//
// These variants were slower for 16 rows of 28672 x 4096 (32.2 us): two steps in flight, 32.9; 12 warps, 35.2; 24 or 32
// warps with tiles of 16 channels, 48 and 47; activations read again for every tile, 41.3.
#pragma once

#include <algorithm>
#include <type_traits>

#include "csrc/w4a16/gemv.cuh"

namespace awq::w4a16 {

constexpr int kStepChunks = kStepElems * 2 / 16;  // of a token's activations, 16 bytes each

// The division of the work of a launch.
struct TileLoopShape {
  int tiles;                   // of kChannels channels
  int blocks;                  // that take them in turn
  int steps;                   // of a row
  int steps_per_warp;          // the most that a warp takes of them
  int tile_sums;               // how many tiles' sums shared memory has room for,
  int tile_sums_offset_bytes;  // from here on
  int step_sums_offset_bytes;  // and where the sums of the activations of a step begin
  uint32_t group_reciprocal;   // for group_of()
};

template <class Config>
TileLoopShape tile_loop_shape(const Args& args, const DeviceInfo& device) {
  static_assert(Config::kMaxSteps * Config::kMaxSteps < int64_t{1} << 31, "for group_of()");
  const int64_t tiles = ceil_div(args.n, Config::kChannels);
  const int64_t blocks = std::min(tiles, int64_t{Config::kBlocksPerSm} * device.sm_count);
  const int64_t tiles_per_block = ceil_div(tiles, blocks);
  TileLoopShape shape;
  shape.tiles = static_cast<int>(tiles);
  shape.blocks = static_cast<int>(blocks);
  shape.steps = static_cast<int>(Config::steps(args.k));
  shape.steps_per_warp = static_cast<int>(Config::steps_per_warp(args.k));
  shape.tile_sums =
      static_cast<int>(std::min(tiles_per_block, Config::tile_sums(args.m, args.k, device.max_smem_bytes_per_block)));
  shape.tile_sums_offset_bytes = static_cast<int>(Config::activation_bytes(args.m, args.k));
  shape.step_sums_offset_bytes = static_cast<int>(Config::row_bytes(args.m, args.k));
  shape.group_reciprocal = group_reciprocal(args);
  return shape;
}

// The first channel of a tile. Where N is not a multiple of 32 the last tile is moved back instead of cut: it computes
// some channels of the one before again, bit for bit.
template <class Config>
__device__ __forceinline__ int tile_channel(const Args& args, int tile) {
  return min(tile * Config::kChannels, static_cast<int>(args.n) - Config::kChannels);
}

// The scales and zeros of one channel, in any group.
template <class Layout>
struct ScaleSource {
  const Args& args;
  int channel;
  __device__ __forceinline__ ScaleSource(const Args& a, int c) : args(a), channel(c) {}
  __device__ __forceinline__ void move(int channels) { channel += channels; }
  __device__ __forceinline__ ChannelScale load(uint32_t group) const {
    return Layout::load_scale(args, channel, group);
  }
};

// With pointers that move, because the address of an element takes four instructions each time.
template <>
struct ScaleSource<LayoutV2> {
  const uint16_t *scales, *zeros;
  uint32_t stride_elems;
  __device__ __forceinline__ ScaleSource(const Args& args, int channel)
      : scales(static_cast<const uint16_t*>(args.scales) + channel),
        zeros(static_cast<const uint16_t*>(args.zeros) + channel),
        stride_elems(static_cast<uint32_t>(args.n)) {}
  __device__ __forceinline__ void move(int channels) { scales += channels, zeros += channels; }
  __device__ __forceinline__ ChannelScale load(uint32_t group) const {
    const uint64_t offset = uint64_t{group} * stride_elems;
    return {__ldg(scales + offset), __ldg(zeros + offset)};
  }
};

// What a lane needs of the weights for one step. Where a group spans the step, lane i keeps the scale of channel i.
template <bool kGroupPerStep>
struct StepWeights {
  uint32_t words[kLaneChannels][4];
  ChannelScale scales[kGroupPerStep ? 1 : kLaneChannels];
};

// Walks a warp through the weights of its steps of the block's tiles.
template <class Config, class Layout, bool kGroupPerStep>
struct TileReader {
  const Args& args;
  const TileLoopShape& shape;
  int tile;                // to load next,
  int channel;             // its first channel,
  int step;                // of its steps this one
  const uint8_t* weights;  // the lane's first channel and its run of that step
  ScaleSource<Layout> scales;

  __device__ __forceinline__ TileReader(const Args& a, const TileLoopShape& s)
      : args(a),
        shape(s),
        tile(blockIdx.x),
        channel(tile_channel<Config>(a, tile)),
        step(threadIdx.x / 32),
        weights(Layout::run_pointer(a, channel + threadIdx.x % 32 / 4, step * kStepRuns + threadIdx.x % 4)),
        scales(a, channel + threadIdx.x % 32) {}

  __device__ __forceinline__ void load(StepWeights<kGroupPerStep>& to) {
    if (tile >= shape.tiles) return;
    if (step < shape.steps) {
      const int lane = threadIdx.x % 32, run = step * kStepRuns + lane % 4;
      const uint8_t* source = weights;
      if constexpr (!kGroupPerStep) {
        // K may end in the middle of a step: runs past K, which face zeros, are loaded from two runs before.
        if (run >= args.k / kRunElems) source -= Layout::run_distance_bytes(2);
      }
#pragma unroll
      for (int i = 0; i < kLaneChannels; ++i) {
        // Eight channels of k 4-bit weights, in either layout.
        const uint4 q = ptx::load_streaming_16(source + i * (4 * args.k));
        to.words[i][0] = q.x, to.words[i][1] = q.y, to.words[i][2] = q.z, to.words[i][3] = q.w;
      }
      if constexpr (kGroupPerStep) {
        to.scales[0] = scales.load(group_of(shape.group_reciprocal, step));
      } else {
        const int group = min(run, static_cast<int>(args.k / kRunElems) - 1) >> (args.runs_per_group / 2);  // 1 or 2
#pragma unroll
        for (int i = 0; i < kLaneChannels; ++i) {
          to.scales[i] = Layout::load_scale(args, channel + 8 * i + lane / 4, group);
        }
      }
    }
    step += Config::kWarps;
    weights += Layout::run_distance_bytes(Config::kWarps * kStepRuns);
    if (step >= shape.steps_per_warp * Config::kWarps) next_tile();
  }

  __device__ __forceinline__ void next_tile() {
    tile += gridDim.x;
    if (tile >= shape.tiles) return;
    const int channels = tile_channel<Config>(args, tile) - channel;
    channel += channels;
    step -= shape.steps_per_warp * Config::kWarps;
    // Tiles are a multiple of 4 channels apart, and so many channels follow one another in either layout.
    weights +=
        channels * (args.k / 2) - Layout::run_distance_bytes(shape.steps_per_warp * (Config::kWarps * kStepRuns));
    scales.move(channels);
  }
};

// Where a chunk of 16 bytes lies in a row of shared activations: permuted, so that eight lanes that read at a time, the
// same chunk of four runs and two tokens, meet different banks.
__device__ __forceinline__ int chunk_of_row(int token, int chunk) { return chunk ^ (token % 2 * 2 + chunk / 8); }

// The activations of a warp's steps, in shared memory for all tiles: a row per step and token, and its sum.
template <class Config>
struct SharedActivations {
  static constexpr bool kHasStepSums = true;
  static constexpr int kRowBytes = Config::kRowBytes;
  uint8_t* rows;  // of this warp
  float* sums;    // [step][8 kTokenTiles]
  int step_bytes;
  int lane_offset[Config::kTokenTiles];
  int tokens;

  __device__ __forceinline__ SharedActivations(uint8_t* smem, const Args& args, const TileLoopShape& shape)
      : rows(smem + threadIdx.x / 32 * (shape.steps_per_warp * static_cast<int>(args.m) * kRowBytes)),
        sums(reinterpret_cast<float*>(smem + shape.step_sums_offset_bytes) +
             threadIdx.x / 32 * (shape.steps_per_warp * 8 * Config::kTokenTiles)),
        step_bytes(static_cast<int>(args.m) * kRowBytes),
        tokens(static_cast<int>(args.m)) {
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
      // For tokens past M the last one's, whose sums are not stored.
      const int lane = threadIdx.x % 32, token = min(8 * t + lane / 4, tokens - 1);
      lane_offset[t] = token * kRowBytes + chunk_of_row(token, lane % 4 * 4) * 16;
    }
  }

  __device__ __forceinline__ void start_copy(const Args& args, const TileLoopShape& shape) const {
    const int lane = threadIdx.x % 32, chunk = lane % kStepChunks;
    int column = threadIdx.x / 32 * kStepElems + chunk * 8;
    uint8_t* step = rows;
#pragma unroll 1
    for (int i = 0; i < shape.steps_per_warp; ++i) {
#pragma unroll 1
      for (int token = lane / kStepChunks; token < tokens; token += 32 / kStepChunks) {
        ptx::cp_async<16>(step + token * kRowBytes + chunk_of_row(token, chunk) * 16,
                          static_cast<const uint8_t*>(args.in) + (token * args.k + column) * 2, column < args.k);
      }
      column += Config::kWarps * kStepElems;
      step += step_bytes;
    }
    ptx::cp_async_commit();
  }

  template <class T, class Layout>
  __device__ __forceinline__ void wait(const TileLoopShape& shape) const {
    ptx::cp_async_wait<0>();
    __syncwarp();
    // While the first weights are on their way.
#pragma unroll 1
    for (int step = 0; step < shape.steps_per_warp; ++step) {
      const uint32_t ones[4] = {Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes};
      float sum[2][Config::kTokenTiles][4] = {};
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t x[Config::kTokenTiles][2][4];
        load_half(x, step, h);
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
          for (int t = 0; t < Config::kTokenTiles; ++t) {
            const uint2 b = Layout::product_fragment(x[t], n);
            mma_m16n8k16<T>(sum[n % 2][t], ones, b.x, b.y);
          }
        }
      }
      if (threadIdx.x % 32 < 4) {
#pragma unroll
        for (int t = 0; t < Config::kTokenTiles; ++t) {
          *reinterpret_cast<float2*>(&sums[(step * Config::kTokenTiles + t) * 8 + threadIdx.x % 4 * 2]) = {
              sum[0][t][0] + sum[1][t][0], sum[0][t][1] + sum[1][t][1]};
        }
      }
    }
    __syncwarp();
  }

  // Chunks 2h and 2h + 1 of run c of token g for lane 4g + c.
  __device__ __forceinline__ void load_half(uint32_t (&x)[Config::kTokenTiles][2][4], int step_of_warp, int h) const {
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint4 chunk =
            *reinterpret_cast<const uint4*>(rows + step_of_warp * step_bytes + (lane_offset[t] ^ (2 * h + i) * 16));
        x[t][i][0] = chunk.x, x[t][i][1] = chunk.y, x[t][i][2] = chunk.z, x[t][i][3] = chunk.w;
      }
    }
  }

  // The sums of tokens 2c and 2c + 1 over a step.
  __device__ __forceinline__ float2 step_sums(int step_of_warp, int t) const {
    return *reinterpret_cast<const float2*>(&sums[(step_of_warp * Config::kTokenTiles + t) * 8 + threadIdx.x % 4 * 2]);
  }
};

// The same from global memory, for so many rows that shared memory has no room for them at every K. Where it has, it
// was not faster (16 rows: 28672 x 4096 38.6 us either way, 6144 x 4096 18.9 instead of 17.4).
template <class Config>
struct GlobalActivations {
  static constexpr bool kHasStepSums = false;
  const uint8_t* runs[Config::kTokenTiles];  // the lane's of step 0
  int runs_left[Config::kTokenTiles];        // from there to the end of K; none past the last token

  __device__ __forceinline__ GlobalActivations(uint8_t*, const Args& args, const TileLoopShape&) {
    const int lane = threadIdx.x % 32, run = threadIdx.x / 32 * kStepRuns + lane % 4;
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
      const int64_t token = 8 * t + lane / 4;
      runs_left[t] = token < args.m ? static_cast<int>(args.k / kRunElems) - run : 0;
      runs[t] = static_cast<const uint8_t*>(args.in) + (token * args.k + run * kRunElems) * 2;
    }
  }

  __device__ __forceinline__ void start_copy(const Args&, const TileLoopShape&) const {}
  template <class T, class Layout>
  __device__ __forceinline__ void wait(const TileLoopShape&) const {}

  __device__ __forceinline__ void load_half(uint32_t (&x)[Config::kTokenTiles][2][4], int step_of_warp, int h) const {
    const int run = step_of_warp * Config::kWarps * kStepRuns;
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
      const auto* source = reinterpret_cast<const uint4*>(runs[t] + int64_t{run} * (kRunElems * 2)) + 2 * h;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint4 chunk = run < runs_left[t] ? __ldg(source + i) : make_uint4(0, 0, 0, 0);
        x[t][i][0] = chunk.x, x[t][i][1] = chunk.y, x[t][i][2] = chunk.z, x[t][i][3] = chunk.w;
      }
    }
  }
};

// Like multiply_group() of gemv.cuh, with two differences. A lane loads the scales of one channel, with two loads
// instead of eight, and gets those of its four channels from other lanes. The sums of activations are already computed.
template <class Config, class T, class Layout, class Activations>
__device__ __forceinline__ void multiply_shared_group(float (&sum)[2][Config::kTokenTiles][4],
                                                      const StepWeights<true>& weights, const Activations& activations,
                                                      int step_of_warp) {
  const uint32_t own_scale = weights.scales[0].scale | static_cast<uint32_t>(weights.scales[0].zero) << 16;
  // Products that follow one another add to different sums: a warp would wait for the result of the one before.
  float products[2][Config::kTokenTiles][4] = {}, ones_products[2][Config::kTokenTiles][4] = {};
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    uint32_t x[Config::kTokenTiles][2][4];
    activations.load_half(x, step_of_warp, h);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const int i = Layout::product_pair(h, n), word = Layout::product_word(h, n);
      uint2 b[Config::kTokenTiles];
#pragma unroll
      for (int t = 0; t < Config::kTokenTiles; ++t) {
        b[t] = Layout::product_fragment(x[t], n);
        if constexpr (!Activations::kHasStepSums) {
          const uint32_t ones[4] = {Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes};
          mma_m16n8k16<T>(ones_products[n % 2][t], ones, b[t].x, b[t].y);
        }
      }
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
        uint32_t a[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          a[r] = Integers<T>::unpack_alike(weights.words[2 * tile + r % 2][word + r / 2], i);
        }
#pragma unroll
        for (int t = 0; t < Config::kTokenTiles; ++t) {
          mma_m16n8k16<T>(products[tile][t], a, b[t].x, b[t].y);
        }
      }
    }
  }
  float2 x_sum[Config::kTokenTiles];
#pragma unroll
  for (int t = 0; t < Config::kTokenTiles; ++t) {
    if constexpr (Activations::kHasStepSums) {
      x_sum[t] = activations.step_sums(step_of_warp, t);
    } else {
      x_sum[t] = {ones_products[0][t][0] + ones_products[1][t][0], ones_products[0][t][1] + ones_products[1][t][1]};
    }
  }
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint32_t s = __shfl_sync(kAllLanes, own_scale, 8 * (2 * tile + row) + threadIdx.x % 32 / 4);
      const Affine w = Layout::template affine<T>({static_cast<uint16_t>(s), static_cast<uint16_t>(s >> 16)});
      const float scale = w.scale * Integers<T>::kAlikeScale;
      float offset = w.offset;
      if constexpr (Integers<T>::kOffset != 0) offset = fmaf(w.scale, -Integers<T>::kOffset, offset);
#pragma unroll
      for (int t = 0; t < Config::kTokenTiles; ++t) {
#pragma unroll
        for (int column = 0; column < 2; ++column) {
          const int i = 2 * row + column;
          const float product = fmaf(scale, products[tile][t][i], sum[tile][t][i]);
          sum[tile][t][i] = fmaf(offset, column == 0 ? x_sum[t].x : x_sum[t].y, product);
        }
      }
    }
  }
}

// The warps' sums of some tiles, in shared memory until there is no more room: a barrier for each tile would make the
// warps wait for one another.
template <class Config>
struct TileSums {
  static constexpr int kStride = Config::kSumStride;
  float* sums;  // [tile][kWarps][tokens][kStride]
  int tokens;

  __device__ __forceinline__ float* of_warp(int slot, int warp) const {
    return sums + (slot * Config::kWarps + warp) * tokens * kStride;
  }

  // Stores a lane's sums and zeroes them.
  __device__ __forceinline__ void store(float (&sum)[2][Config::kTokenTiles][4], int slot) const {
    const int lane = threadIdx.x % 32;
    float* to = of_warp(slot, threadIdx.x / 32) + lane % 4 * (2 * kStride) + lane / 4;
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
#pragma unroll
      for (int column = 0; column < 2; ++column) {
        if (8 * t + lane % 4 * 2 + column < tokens) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {  // rows of 8 channels
            to[(8 * t + column) * kStride + 8 * i] = sum[i / 2][t][i % 2 * 2 + column];
          }
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[i / 2][t][i % 2 * 2 + column] = 0;
      }
    }
  }

  // Adds in the order of the warps, for `slots` tiles from `first_tile` on, and stores the results.
  template <class T>
  __device__ __forceinline__ void add_up(const Args& args, int first_tile, int slots) const {
    const int outputs = Config::kChannels * tokens;
#pragma unroll 1
    for (int slot = 0, first = 0; slot < slots; ++slot, first += outputs) {
      const int channel = tile_channel<Config>(args, first_tile + slot * static_cast<int>(gridDim.x));
      // Other threads for the next tile.
#pragma unroll 1
      for (int i = (threadIdx.x + Config::kThreads - first % Config::kThreads) % Config::kThreads; i < outputs;
           i += Config::kThreads) {
        const int token = i / Config::kChannels;
        const float* from = of_warp(slot, 0) + token * kStride + i % Config::kChannels;
        float sum = 0;
#pragma unroll
        for (int warp = 0; warp < Config::kWarps; ++warp) sum += from[warp * tokens * kStride];
        static_cast<T*>(args.out)[token * args.n + channel + i % Config::kChannels] = T(sum);
      }
    }
  }
};

template <class Config, class T, class Layout, bool kGroupPerStep>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    persistent_gemv_kernel(const __grid_constant__ Args args, const __grid_constant__ TileLoopShape shape) {
  extern __shared__ __align__(128) uint8_t smem[];
  using Activations =
      std::conditional_t<Config::kShareActivations, SharedActivations<Config>, GlobalActivations<Config>>;
  TileReader<Config, Layout, kGroupPerStep> reader(args, shape);
  StepWeights<kGroupPerStep> ring[Config::kStepsAhead];
  if (!args.constant_weights) ptx::wait_for_previous_kernel();
#pragma unroll
  for (int i = 0; i < Config::kStepsAhead; ++i) reader.load(ring[i]);
  if (args.constant_weights) ptx::wait_for_previous_kernel();

  const Activations activations(smem, args, shape);
  activations.start_copy(args, shape);
  const TileSums<Config> sums{reinterpret_cast<float*>(smem + shape.tile_sums_offset_bytes), static_cast<int>(args.m)};
  activations.template wait<T, Layout>(shape);

  float sum[2][Config::kTokenTiles][4] = {};
  int step_of_warp = 0, slot = 0;
  for (int tile = blockIdx.x, first_tile = tile; tile < shape.tiles;) {
#pragma unroll
    for (int i = 0; i < Config::kStepsAhead; ++i) {
      if (tile >= shape.tiles) break;
      if (threadIdx.x / 32 + step_of_warp * Config::kWarps < shape.steps) {
        if constexpr (kGroupPerStep) {
          multiply_shared_group<Config, T, Layout>(sum, ring[i], activations, step_of_warp);
        } else {
          uint32_t halves[2][Config::kTokenTiles][2][4], x[Config::kTokenTiles][4][4];
#pragma unroll
          for (int chunk = 0; chunk < 4; ++chunk) {
            if (chunk % 2 == 0) activations.load_half(halves[chunk / 2], step_of_warp, chunk / 2);
#pragma unroll
            for (int t = 0; t < Config::kTokenTiles; ++t) {
#pragma unroll
              for (int j = 0; j < 4; ++j) x[t][chunk][j] = halves[chunk / 2][t][chunk % 2][j];
            }
          }
          multiply_runs<T, Layout>(sum, ring[i], x);
        }
      }
      reader.load(ring[i]);
      if (++step_of_warp < shape.steps_per_warp) continue;
      step_of_warp = 0;
      sums.store(sum, slot++);
      tile += gridDim.x;
      if (slot < shape.tile_sums && tile < shape.tiles) continue;
      if (tile >= shape.tiles) ptx::allow_next_kernel();
      __syncthreads();
      sums.template add_up<T>(args, first_tile, slot);
      if (tile < shape.tiles) __syncthreads();  // before the sums are overwritten
      first_tile = tile;
      slot = 0;
    }
  }
}

template <class Config, class T, class Layout>
cudaError_t launch_persistent_gemv(const Args& args, const DeviceInfo& device, cudaStream_t stream) {
  const TileLoopShape shape = tile_loop_shape<Config>(args, device);
  const LaunchShape launch_shape = {
      static_cast<unsigned>(shape.blocks), Config::kThreads,
      static_cast<size_t>(shape.tile_sums_offset_bytes + shape.tile_sums * Config::tile_sum_bytes(args.m))};
  const auto launch = [&](auto kernel) {
    // The same for every launch, as another thread may be about to launch with another size.
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, device.max_smem_bytes_per_block);
    if (error != cudaSuccess) return error;
    return launch_overlapping(kernel, launch_shape, stream, args, shape);
  };
  return args.runs_per_group % kStepRuns == 0 ? launch(persistent_gemv_kernel<Config, T, Layout, true>)
                                              : launch(persistent_gemv_kernel<Config, T, Layout, false>);
}

}  // namespace awq::w4a16

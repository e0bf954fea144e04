// Few rows (up to 8 at a time). The time is bound by reading the weights once.
//
// A block computes 32 channels. Its warps share out K in steps of 128 columns and add up at the end. Weights go from
// global memory directly to the registers of the mma, without shared memory and without a barrier in the loop.
//
// The tensor cores compute 8 rows even if there is only one. They are still the better choice. From 4 rows on, the
// multiply-adds of the CUDA cores would take longer than reading the weights (an SM of the H200 has 128 per clock).
//
// A ring of four steps per warp in shared memory, filled by cp.async, was slower (28672 x 4096, one row: 36 us instead
// of 28), although it has more bytes in flight.
//
//   lane 4g + c of a warp, per step:  channels g, 8 + g, 16 + g, 24 + g; of each the run c, columns 32c .. 32c + 31.
//                                     One load of a warp takes a run per lane: whole 128-byte lines of layout v2
//   mma row tile t:                   channels 16t .. 16t + 15 in their order
//   mma token tile t:                 column g of B is token 8t + g
#pragma once

#include "csrc/common/launch.cuh"
#include "csrc/common/mma.cuh"
#include "csrc/w4a16/tiles.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {

constexpr int kLaneChannels = 4;

template <class Config>
struct GemvStorage {
  // One column of padding, for the threads that sum neighbouring channels' partial sums.
  float partial[Config::kWarps][Config::kAccumulators][33];
};

// What a lane needs of the weights for one step.
struct WeightStep {
  uint32_t words[kLaneChannels][4];
  ChannelScale scales[kLaneChannels];
};

// Walks a lane through the weights of its warp's steps. In the last step, runs past K read the row's last run again,
// against zero activations.
template <class Config, class T, class Layout>
struct GemvReader {
  static constexpr int kStrideRuns = Config::kWarps * kStepRuns;

  const uint8_t* weights;  // the lane's first channel, at the run to load next
  int run;                 // the run to load next
  int group;               // its group,
  int run_in_group;
  int last_group;
  int stride_groups, stride_rest_runs;  // kStrideRuns as whole groups and the rest
  int64_t channel;

  __device__ __forceinline__ GemvReader(const Args& args, int64_t first_channel)
      : run(threadIdx.x / 32 * kStepRuns + threadIdx.x % 4),
        group(run / args.runs_per_group),
        run_in_group(run % args.runs_per_group),
        last_group(static_cast<int>(args.k / kRunElems - 1) / args.runs_per_group),
        stride_groups(kStrideRuns / args.runs_per_group),
        stride_rest_runs(kStrideRuns % args.runs_per_group),
        channel(first_channel + threadIdx.x % 32 / 4) {
    weights = Layout::run_pointer(args, channel, run);
  }

  __device__ __forceinline__ void load_weights(WeightStep& step, const Args& args, int runs) {
    const bool exists = run < runs;
    const uint8_t* source = exists ? weights : Layout::run_pointer(args, channel, runs - 1);
    const int scale_group = exists ? group : last_group;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      // Eight channels of k 4-bit weights, in either layout.
      const uint4 q = ptx::load_streaming_16(source + i * (4 * args.k));
      step.words[i][0] = q.x, step.words[i][1] = q.y, step.words[i][2] = q.z, step.words[i][3] = q.w;
    }
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) step.scales[i] = Layout::load_scale(args, channel + 8 * i, scale_group);
    weights += Layout::run_distance_bytes(kStrideRuns);
    run += kStrideRuns;
    // The group of the next run, without a division.
    group += stride_groups;
    run_in_group += stride_rest_runs;
    if (run_in_group >= args.runs_per_group) {
      run_in_group -= args.runs_per_group;
      ++group;
    }
  }
};

// A run's activations; zeros, and no access, where it lies past K or past the last token.
__device__ __forceinline__ void load_activations(uint32_t (&chunks)[4][4], const void* source, bool inside) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint4 chunk = inside ? __ldg(static_cast<const uint4*>(source) + i) : make_uint4(0, 0, 0, 0);
    chunks[i][0] = chunk.x, chunks[i][1] = chunk.y, chunks[i][2] = chunk.z, chunks[i][3] = chunk.w;
  }
}

// Any group size: weights are scaled one by one, as each lane's run has a scale of its own. `Step` is a WeightStep or
// has the same members.
template <class T, class Layout, class Step, int kTokenTiles>
__device__ __forceinline__ void multiply_runs(float (&sum)[2][kTokenTiles][4], const Step& weights,
                                              const uint32_t (&x)[kTokenTiles][4][4]) {
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    uint32_t scale[2], zero[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      scale[i] = broadcast_half(weights.scales[2 * tile + i].scale, 0);
      zero[i] = broadcast_half(weights.scales[2 * tile + i].zero, 0);
    }
#pragma unroll
    for (int word = 0; word < 4; word += 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        uint32_t a[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          a[r] = Layout::template dequantize<T>(weights.words[2 * tile + r % 2][word + r / 2], i, scale[r % 2],
                                                zero[r % 2]);
        }
#pragma unroll
        for (int t = 0; t < kTokenTiles; ++t) {
          const uint2 b = Layout::x_fragment(x[t], i, word);
          mma_m16n8k16<T>(sum[tile][t], a, b.x, b.y);
        }
      }
    }
  }
}

// Groups that are multiples of a step share one scale in it, so that the products can be scaled instead of the weights:
//   sum over k of (s * q + z) * x  =  s * sum of q * x  +  z * sum of x
// The integers need the fewest instructions (13 per word above, 5 here for fp16). Nothing is rounded before the fp32
// sums. The sums of x come from a product with ones.
template <class T, class Layout, int kTokenTiles>
__device__ __forceinline__ void multiply_group(float (&sum)[2][kTokenTiles][4], const WeightStep& weights,
                                               const uint32_t (&x)[kTokenTiles][4][4]) {
  float x_sum[kTokenTiles][4] = {};
#pragma unroll
  for (int word = 0; word < 4; word += 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t ones[4] = {Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes, Pair<T>::kOnes};
#pragma unroll
      for (int t = 0; t < kTokenTiles; ++t) {
        const uint2 b = Layout::x_fragment(x[t], i, word);
        mma_m16n8k16<T>(x_sum[t], ones, b.x, b.y);
      }
    }
  }
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    float products[2][kTokenTiles][4] = {};  // of even and odd pairs, which are scaled differently
#pragma unroll
    for (int word = 0; word < 4; word += 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        uint32_t a[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          a[r] = Pair<T>::unpack_scaled(weights.words[2 * tile + r % 2][word + r / 2], i);
        }
#pragma unroll
        for (int t = 0; t < kTokenTiles; ++t) {
          const uint2 b = Layout::x_fragment(x[t], i, word);
          mma_m16n8k16<T>(products[i % 2][t], a, b.x, b.y);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Affine w = Layout::template affine<T>(weights.scales[2 * tile + i / 2]);
      const float scale = w.scale * Pair<T>::kIntegerScale;
#pragma unroll
      for (int t = 0; t < kTokenTiles; ++t) {
        const float product = fmaf(products[1][t][i], Pair<T>::kOddPairScale, products[0][t][i]);
        sum[tile][t][i] = fmaf(w.offset, x_sum[t][i % 2], fmaf(scale, product, sum[tile][t][i]));
      }
    }
  }
}

// Adds the warps' sums in their order and stores; consecutive threads take consecutive channels.
template <class Config, class T>
__device__ __forceinline__ void reduce_and_store(const GemvStorage<Config>& storage, const Args& args,
                                                 int64_t first_channel, int64_t first_token) {
  constexpr int kOutputs = Config::kChannels * Config::kTokens;
#pragma unroll
  for (int i = threadIdx.x; i < kOutputs; i += Config::kThreads) {
    const int channel = i % Config::kChannels, token = i / Config::kChannels;
    if (first_token + token >= args.m) return;
    const int lane = channel % 8 * 4 + token % 8 / 2;
    const int accumulator = (channel / 16 * Config::kTokenTiles + token / 8) * 4 + channel / 8 % 2 * 2 + token % 2;
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < Config::kWarps; ++warp) sum += storage.partial[warp][accumulator][lane];
    static_cast<T*>(args.out)[(first_token + token) * args.n + first_channel + channel] = T(sum);
  }
}

template <class Config, class T, class Layout, bool kGroupPerStep>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    gemv_kernel(const __grid_constant__ Args args) {
  __shared__ GemvStorage<Config> storage;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  // Where N is not a multiple of 32 the last block is moved back instead of cut: it computes some channels of the one
  // before again, bit for bit.
  const int64_t first_channel = min(static_cast<int64_t>(blockIdx.x) * Config::kChannels, args.n - Config::kChannels);
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * Config::kTokens;
  const int runs = static_cast<int>(args.k / kRunElems);
  const int all_steps = ceil_div(runs, kStepRuns);
  const int steps = ceil_div(all_steps - warp, Config::kWarps);  // of this warp

  GemvReader<Config, T, Layout> reader(args, first_channel);
  WeightStep ring[Config::kStepsAhead];
  if (!args.constant_weights) ptx::wait_for_previous_kernel();
#pragma unroll
  for (int i = 0; i < Config::kStepsAhead; ++i) {
    if (i < steps) reader.load_weights(ring[i], args, runs);
  }
  if (args.constant_weights) ptx::wait_for_previous_kernel();
  int run = warp * kStepRuns + lane % 4;  // of the step to multiply
  const T* x_run[Config::kTokenTiles];    // its activations
  int runs_of_token[Config::kTokenTiles];
#pragma unroll
  for (int t = 0; t < Config::kTokenTiles; ++t) {
    const int64_t token = first_token + 8 * t + lane / 4;
    x_run[t] = static_cast<const T*>(args.in) + token * args.k + run * kRunElems;
    runs_of_token[t] = token < args.m ? runs : 0;
  }
  float sum[2][Config::kTokenTiles][4] = {};
  for (int first = 0; first < steps; first += Config::kStepsAhead) {
#pragma unroll
    for (int i = 0; i < Config::kStepsAhead; ++i) {
      if (first + i >= steps) break;
      uint32_t x[Config::kTokenTiles][4][4];
#pragma unroll
      for (int t = 0; t < Config::kTokenTiles; ++t) {
        load_activations(x[t], x_run[t], run < runs_of_token[t]);
        x_run[t] += Config::kWarps * kStepElems;
      }
      if constexpr (kGroupPerStep) {
        multiply_group<T, Layout>(sum, ring[i], x);
      } else {
        multiply_runs<T, Layout>(sum, ring[i], x);
      }
      if (first + i + Config::kStepsAhead < steps) reader.load_weights(ring[i], args, runs);
      run += Config::kWarps * kStepRuns;
    }
  }

  ptx::allow_next_kernel();  // whose blocks are set up while this one adds up
#pragma unroll
  for (int i = 0; i < Config::kAccumulators; ++i) {
    storage.partial[warp][i][lane] = sum[i / (4 * Config::kTokenTiles)][i / 4 % Config::kTokenTiles][i % 4];
  }
  __syncthreads();
  reduce_and_store<Config, T>(storage, args, first_channel, first_token);
}

template <class Config, class T, class Layout>
cudaError_t launch_gemv(const Args& args, const DeviceInfo&, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(args.n, Config::kChannels)),
                  static_cast<unsigned>(ceil_div(args.m, Config::kTokens)));
  if (args.runs_per_group % kStepRuns == 0) {
    return launch_overlapping(gemv_kernel<Config, T, Layout, true>, {grid, Config::kThreads}, stream, args);
  }
  return launch_overlapping(gemv_kernel<Config, T, Layout, false>, {grid, Config::kThreads}, stream, args);
}

}  // namespace awq::w4a16

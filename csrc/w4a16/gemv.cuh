// Few rows (up to 8 per token tile): bound by reading the weights once.
//
// A block computes 32 channels; its warps share out K in steps of 128 and add up at the end. Weights go from global
// memory straight to the registers that the mma wants: no shared memory, no barrier in the loop. The tensor cores pad
// the rows to 8, which costs nothing here: CUDA-core multiply-adds would bound the time from 3 rows on.
//
//   lane 4g + c of a warp, per step:   channels 4g .. 4g+3 (one line of layout v2), columns 32c .. 32c+31 (one run)
//   mma tile t (0 or 1):               row g is channel 4g + 2t, row g + 8 is channel 4g + 2t + 1
//   token tile:                        column g of B is token g
#pragma once

#include "csrc/common/mma.cuh"
#include "csrc/w4a16/launch.h"
#include "csrc/w4a16/weights.cuh"

namespace awq::w4a16 {

template <class Config>
struct GemvStorage {
  // One column of padding keeps the lanes that sum a channel group out of one another's banks.
  float partial[Config::kWarps][Config::kAccumulators][33];
};

// Everything a lane needs of the weights for one step of 128 columns.
struct WeightStep {
  uint32_t q[4][4];  // one run of each channel
  FourScales scales;
};

template <class Layout>
__device__ __forceinline__ void load_step(WeightStep& step, const Args& args, int64_t channel, int64_t run,
                                          bool valid) {
  if (!valid) {
    // Zero weights, scales and zeros: what lies past N or K adds nothing.
    step = {};
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint4 words = ptx::load_streaming_16(Layout::run_pointer(args, channel + i, run));
    step.q[i][0] = words.x, step.q[i][1] = words.y, step.q[i][2] = words.z, step.q[i][3] = words.w;
  }
  step.scales = Layout::load_scales(args, channel, static_cast<uint32_t>(run) / args.runs_per_group);
}

template <class T>
__device__ __forceinline__ void load_activations(uint32_t (&x)[4][4], const Args& args, int64_t token, int64_t run) {
  const bool valid = token < args.m && run * kRunElems < args.k;
  const uint4* source = reinterpret_cast<const uint4*>(static_cast<const T*>(args.in) + token * args.k) + run * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint4 chunk = valid ? __ldg(source + i) : uint4{};
    x[i][0] = chunk.x, x[i][1] = chunk.y, x[i][2] = chunk.z, x[i][3] = chunk.w;
  }
}

template <class T, class Layout, int kTokenTiles>
__device__ __forceinline__ void multiply_step(float (&sum)[2][kTokenTiles][4], const WeightStep& step,
                                              const uint32_t (&x)[kTokenTiles][4][4]) {
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    const uint32_t scale_pair = tile == 0 ? step.scales.scale.x : step.scales.scale.y;
    const uint32_t zero_pair = tile == 0 ? step.scales.zero.x : step.scales.zero.y;
    uint32_t scale[2], zero[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      scale[row] = broadcast_half(scale_pair, row);
      zero[row] = broadcast_half(zero_pair, row);
    }
#pragma unroll
    for (int word = 0; word < 4; ++word) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint32_t upper[2], lower[2];
        Layout::template dequantize<T>(step.q[2 * tile][word], half, scale[0], zero[0], upper);
        Layout::template dequantize<T>(step.q[2 * tile + 1][word], half, scale[1], zero[1], lower);
        const uint32_t a[4] = {upper[0], lower[0], upper[1], lower[1]};
#pragma unroll
        for (int t = 0; t < kTokenTiles; ++t) {
          const uint2 b = Layout::x_fragment(x[t], word, half);
          mma_m16n8k16<T>(sum[tile][t], a, b.x, b.y);
        }
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
    if (first_channel + channel >= args.n || first_token + token >= args.m) continue;
    const int lane = channel / 4 * 4 + token % 8 / 2;
    const int accumulator = (channel % 4 / 2 * Config::kTokenTiles + token / 8) * 4 + channel % 2 * 2 + token % 2;
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < Config::kWarps; ++warp) sum += storage.partial[warp][accumulator][lane];
    static_cast<T*>(args.out)[(first_token + token) * args.n + first_channel + channel] = T(sum);
  }
}

template <class Config, class T, class Layout>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm) gemv_kernel(const __grid_constant__ Args args) {
  __shared__ GemvStorage<Config> storage;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t first_channel = static_cast<int64_t>(blockIdx.x) * Config::kChannels;
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * Config::kTokens;
  const int64_t channel = first_channel + lane / 4 * 4;
  const int runs = static_cast<int>(args.k / kRunElems);
  constexpr int kStepRuns = 4;

  float sum[2][Config::kTokenTiles][4] = {};
  WeightStep current, next;
  int run = warp * kStepRuns + lane % 4;
  load_step<Layout>(current, args, channel, run, channel < args.n && run < runs);
  // Whole warps enter and leave the loop together: the condition is the first lane's run.
  for (; run - lane % 4 < runs; run += Config::kWarps * kStepRuns) {
    const int next_run = run + Config::kWarps * kStepRuns;
    load_step<Layout>(next, args, channel, next_run, channel < args.n && next_run < runs);
    uint32_t x[Config::kTokenTiles][4][4];
#pragma unroll
    for (int t = 0; t < Config::kTokenTiles; ++t) {
      load_activations<T>(x[t], args, first_token + 8 * t + lane / 4, run);
    }
    multiply_step<T, Layout>(sum, current, x);
    current = next;
  }

#pragma unroll
  for (int i = 0; i < Config::kAccumulators; ++i) {
    storage.partial[warp][i][lane] = sum[i / (4 * Config::kTokenTiles)][i / 4 % Config::kTokenTiles][i % 4];
  }
  __syncthreads();
  reduce_and_store<Config, T>(storage, args, first_channel, first_token);
}

template <class Config, class T, class Layout>
cudaError_t launch_gemv(const Args& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((args.n + Config::kChannels - 1) / Config::kChannels),
                  static_cast<unsigned>((args.m + Config::kTokens - 1) / Config::kTokens));
  gemv_kernel<Config, T, Layout><<<grid, Config::kThreads, 0, stream>>>(args);
  return checked_launch();
}

}  // namespace awq::w4a16

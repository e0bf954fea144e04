// One row of activations. A warp requests all its weights at once.
//
// A matrix of a few megabytes is read before a loop of loads reaches its full rate. The time has four parts: the
// launch, one load, the reading, and the work that remains when the last weights arrive. A block therefore computes
// only 16 channels, and 32 warps share an SM. A warp starts the loads of all its steps before it waits for anything. If
// K is longer, it starts those of kStepsAhead steps. Meanwhile it sums up its part of the activations and keeps it in
// shared memory.
//
// 4096 x 4096 takes 8.3 us. Reading the weights alone takes 7.7. Variants: loads of weights after the wait for the
// activations, 8.5; one step in flight, 8.5; a wait for the scales of the first step before the loads of the second,
// 9.2. 28672 x 4096 takes 24.1 us. Variant: the sum of the activations by products with ones, on the tensor cores,
// 25.2.
//
//   lane 4g + c of a warp, per step:  channels g and 8 + g, of each the run c, as in gemv.cuh
#pragma once

#include "csrc/w4a16/gemv_persistent.cuh"

namespace awq::w4a16 {

constexpr int kStepBytes = kStepElems * 2;  // of a step's activations

struct SingleRowShape {
  int steps;                  // of a row
  int steps_per_warp;         // the most that a warp takes of them
  uint32_t group_reciprocal;  // for group_of()
};

struct SingleRowWeights {
  uint32_t words[2][4];
  uint32_t scale, zero;  // of channel lane % 16; apart, as putting them together would wait for their loads
};

// Chunks 2h and 2h + 1 of run c, for all lanes 4g + c.
__device__ __forceinline__ void load_row_half(uint32_t (&x)[2][4], const uint8_t* row, int h) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int chunk = chunk_of_row(0, threadIdx.x % 4 * 4) ^ (2 * h + i);
    const uint4 value = *reinterpret_cast<const uint4*>(row + chunk * 16);
    x[i][0] = value.x, x[i][1] = value.y, x[i][2] = value.z, x[i][3] = value.w;
  }
}

// The sum of a row's elements in every lane, on the CUDA cores: the tensor cores have enough to do.
template <class T>
__device__ __forceinline__ float row_sum(const uint8_t* row) {
  const uint2 x = *reinterpret_cast<const uint2*>(row + threadIdx.x % 32 * sizeof(uint2));
  const auto half = [](uint32_t pair, int i) { return widen_bits<T>(static_cast<uint16_t>(pair >> (16 * i))); };
  float sum = (half(x.x, 0) + half(x.x, 1)) + (half(x.y, 0) + half(x.y, 1));
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
  return sum;
}

// Adds a step's products to the sums of channels g and 8 + g, as multiply_shared_group() does. All columns of the
// operand B hold the one row.
template <class T, class Layout>
__device__ __forceinline__ void multiply_single_row(float (&sum)[2], const SingleRowWeights& weights,
                                                    const uint8_t* row, float row_sum) {
  float products[2][4] = {};  // of even and odd pairs
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    uint32_t x[2][4];
    load_row_half(x, row, h);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const int pair = Layout::product_pair(h, n), word = Layout::product_word(h, n);
      const uint2 b = Layout::product_fragment(x, n);
      uint32_t a[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) a[r] = Integers<T>::unpack_scaled(weights.words[r % 2][word + r / 2], pair);
      mma_m16n8k16<T>(products[pair % 2], a, b.x, b.y);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int lane = 8 * r + threadIdx.x % 32 / 4;
    const Affine w = Layout::template affine<T>({static_cast<uint16_t>(__shfl_sync(kAllLanes, weights.scale, lane)),
                                                 static_cast<uint16_t>(__shfl_sync(kAllLanes, weights.zero, lane))});
    const float product = fmaf(products[1][2 * r], Integers<T>::kOddPairScale, products[0][2 * r]);
    const float offset = fmaf(w.scale, -Integers<T>::kOffset, w.offset);
    sum[r] = fmaf(offset, row_sum, fmaf(w.scale * Integers<T>::kIntegerScale, product, sum[r]));
  }
}

// kConstantWeights as in Args. A parameter of the template, because the compiler arranges the loads worse where it is
// not: 28672 x 4096 took 23.3 us instead of 20.2.
template <class Config, class T, class Layout, bool kAllAtOnce, bool kConstantWeights>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocksPerSm)
    single_row_kernel(const __grid_constant__ Args args, const __grid_constant__ SingleRowShape shape) {
  extern __shared__ __align__(128) uint8_t smem[];
  __shared__ float partial[Config::kWarps][Config::kChannels];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  // Where N is not a multiple of 16 the last block is moved back, as in gemv.cuh.
  const int channel =
      min(static_cast<int>(blockIdx.x) * Config::kChannels, static_cast<int>(args.n) - Config::kChannels);

  const auto exists = [&](int i) { return warp + i * Config::kWarps < shape.steps; };

  const uint8_t* source = Layout::run_pointer(args, channel + lane / 4, warp * kStepRuns + lane % 4);
  const ScaleSource<Layout> scales(args, channel + lane % 16);
  SingleRowWeights ring[Config::kStepsAhead];
  const auto load_words = [&](SingleRowWeights& to, int i) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const uint4 q = ptx::load_streaming_16(source + r * (4 * args.k) +
                                             i * Layout::run_distance_bytes(Config::kWarps * kStepRuns));
      to.words[r][0] = q.x, to.words[r][1] = q.y, to.words[r][2] = q.z, to.words[r][3] = q.w;
    }
  };
  const auto load_scale = [&](SingleRowWeights& to, int i) {
    const ChannelScale s = scales.load(group_of(shape.group_reciprocal, warp + i * Config::kWarps));
    to.scale = s.scale, to.zero = s.zero;
  };
  const auto load_first_weights = [&] {
#pragma unroll
    for (int i = 0; i < Config::kStepsAhead; ++i) {
      if (exists(i)) load_words(ring[i], i), load_scale(ring[i], i);
    }
  };

  if constexpr (kConstantWeights) load_first_weights();
  ptx::wait_for_previous_kernel();
  // The warp's part of the activations, kStepBytes per step; half the warp copies one.
  uint8_t* const rows = smem + warp * shape.steps_per_warp * kStepBytes;
  const auto row = [&](int i) { return rows + i * kStepBytes; };
  const int rows_of_warp = kAllAtOnce ? Config::kStepsAhead : shape.steps_per_warp, chunk = lane % kStepChunks;
#pragma unroll(kAllAtOnce ? Config::kStepsAhead / 2 : 1)
  for (int i = 0; i < rows_of_warp; i += 2) {
    const int step = i + lane / kStepChunks;
    if (step < rows_of_warp) {
      ptx::cp_async<16>(row(step) + chunk_of_row(0, chunk) * 16,
                        static_cast<const uint8_t*>(args.in) + (warp + step * Config::kWarps) * kStepBytes + chunk * 16,
                        exists(step));
    }
  }
  ptx::cp_async_commit();
  if constexpr (!kConstantWeights) load_first_weights();

  ptx::cp_async_wait<0>();
  __syncwarp();
  float row_sums[Config::kStepsAhead];
#pragma unroll
  for (int i = 0; i < Config::kStepsAhead; ++i) {
    if (exists(i)) row_sums[i] = row_sum<T>(row(i));
  }
  float sum[2] = {};
  for (int first = 0; first < (kAllAtOnce ? 1 : shape.steps_per_warp); first += Config::kStepsAhead) {
#pragma unroll
    for (int i = 0; i < Config::kStepsAhead; ++i) {
      if (!exists(first + i)) break;
      multiply_single_row<T, Layout>(sum, ring[i], row(first + i), row_sums[i]);
      const int next = first + i + Config::kStepsAhead;
      if (kAllAtOnce || !exists(next)) continue;
      load_words(ring[i], next);
      load_scale(ring[i], next);
      row_sums[i] = row_sum<T>(row(next));
    }
  }

  ptx::allow_next_kernel();  // whose blocks are set up while this one adds up
  if (lane % 4 == 0) partial[warp][lane / 4] = sum[0], partial[warp][8 + lane / 4] = sum[1];
  __syncthreads();
  if (threadIdx.x >= Config::kChannels) return;
  float total = 0;
#pragma unroll
  for (int i = 0; i < Config::kWarps; ++i) total += partial[i][threadIdx.x];
  static_cast<T*>(args.out)[channel + threadIdx.x] = T(total);
}

template <class Config, class T, class Layout>
cudaError_t launch_single_row_gemv(const Args& args, const DeviceInfo&, cudaStream_t stream) {
  SingleRowShape shape;
  shape.steps = static_cast<int>(Config::steps(args.k));
  shape.steps_per_warp = static_cast<int>(Config::steps_per_warp(args.k));
  shape.group_reciprocal = group_reciprocal(args);
  const auto blocks = static_cast<unsigned>(ceil_div(args.n, Config::kChannels));
  const LaunchShape launch_shape = {blocks, Config::kThreads, static_cast<size_t>(Config::row_bytes(args.k))};
  const auto launch = [&](auto kernel) { return launch_overlapping(kernel, launch_shape, stream, args, shape); };
  if (shape.steps_per_warp <= Config::kStepsAhead) {
    return args.constant_weights ? launch(single_row_kernel<Config, T, Layout, true, true>)
                                 : launch(single_row_kernel<Config, T, Layout, true, false>);
  }
  return args.constant_weights ? launch(single_row_kernel<Config, T, Layout, false, true>)
                               : launch(single_row_kernel<Config, T, Layout, false, false>);
}

}  // namespace awq::w4a16

// Decode attention: the kernels and their launch for one element type.
//
// A block takes one piece of one sequence for the query heads of one key-value head: it rotates the queries (and, if the
// newest slot lies in its piece, writes the new key and value), its warps walk over the piece's tiles in turn, each with
// an online softmax of its own, and at the end the block merges them in warp order. Where a sequence has several pieces,
// a second kernel merges those in piece order. No sum depends on which block comes first.
#pragma once

#include "csrc/attention/attend_params.h"
#include "csrc/attention/fma_engine.cuh"
#include "csrc/attention/mma_engine.cuh"
#include "csrc/common/device.h"

namespace awq {

template <typename T, int kHeadDim, int kHeads>
struct EngineOf {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  using Type = FmaEngine<T, kHeadDim, kHeads>;
#else
  using Type = MmaEngine<T, kHeadDim, kHeads>;
#endif
};
template <int kHeadDim, int kHeads>
struct EngineOf<float, kHeadDim, kHeads> {
  using Type = FmaEngine<float, kHeadDim, kHeads>;
};

template <typename T, int kHeadDim_, int kHeads_>
struct AttendConfig {
  using Element = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kHeads = kHeads_;  // query heads of a block
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kWarpSize;
  // Registers for a tile of keys and one of values in flight next to the output: up to 168, above D = 128 up to 255.
  static constexpr int kMinBlocksPerSm = kHeadDim <= 128 ? 3 : 2;
  using Engine = typename EngineOf<T, kHeadDim, kHeads>::Type;
};

// Warps write their outputs with rows two floats apart from a multiple of 32, which spreads a warp's stores over the banks.
template <typename Config>
struct AttendShared {
  static constexpr int kOutStride = Config::kHeadDim + 2;
  typename Config::Engine::Shared engine;
  float max[Config::kWarps][Config::kHeads];
  float sum[Config::kWarps][Config::kHeads];
  alignas(16) float out[Config::kWarps][Config::kHeads * kOutStride];
};

// Which part of the problem a block has.
struct BlockWork {
  int batch, kv_head;
  int first_head, heads;  // query heads first_head .. first_head + heads - 1
  int position;           // t of the sequence
  SplitRange range;
};

__device__ __forceinline__ int position_of(const SingleQueryAttentionParams& user, int batch) {
  return user.lengths != nullptr ? user.lengths[batch] : user.timestep;
}

// Filled slots of a sequence at `position`, the newest included.
__device__ __forceinline__ int filled_slots(const SingleQueryAttentionParams& user, int position) {
  if (position < 0) return 0;
  return position < user.cache_len ? position + 1 : user.cache_len;
}

template <int kHeads>
__device__ __forceinline__ BlockWork block_work(const AttendParams& params) {
  BlockWork work;
  const unsigned tiles = params.head_tiles, kv_heads = params.user.kv_heads;
  const unsigned row = blockIdx.x / tiles;
  const int head_in_group = static_cast<int>(blockIdx.x % tiles) * kHeads;
  work.batch = static_cast<int>(row / kv_heads);
  work.kv_head = static_cast<int>(row % kv_heads);
  work.first_head = work.kv_head * params.group_heads + head_in_group;
  work.heads = min(kHeads, params.group_heads - head_in_group);
  work.position = position_of(params.user, work.batch);
  work.range = split_range(filled_slots(params.user, work.position), params.splits, blockIdx.y);
  return work;
}

// Rotation of one element of a head.
struct Rotation {
  int partner;  // element it mixes with; itself if it does not turn
  float cos, sin;

  template <typename T>
  __device__ __forceinline__ float apply(const T* head, int d) const {
    return fmaf(widen(head[d]), cos, widen(head[partner]) * sin);
  }
};

// The angle is taken in turns and in fp64 up to the fraction of a turn: in fp32 it would be off by position * 2^-24,
// already 0.004 at position 2^16. A power by squaring keeps this to some thirty fp64 operations, also cheap on GPUs with
// few fp64 units.
__device__ __forceinline__ Rotation rotation_at(const AttendParams& params, int position, int d) {
  const int rotary_dim = params.user.rotary_dim, half = rotary_dim / 2;
  if (d >= rotary_dim) return {d, 1.0f, 0.0f};
  const bool neox = params.user.neox_rotary_style;
  const int pair = neox ? (d < half ? d : d - half) : d / 2;
  const bool first = neox ? d < half : d % 2 == 0;

  double turns = params.rotary_turns * position;
  double power = params.rotary_ratio;
#pragma unroll 1
  for (int bits = pair; bits != 0; bits >>= 1, power *= power) {
    if (bits & 1) turns *= power;
  }
  float sin, cos;
  sincospif(2.0f * static_cast<float>(turns - rint(turns)), &sin, &cos);
  const int step = neox ? half : 1;
  return {first ? d + step : d - step, cos, first ? -sin : sin};
}

// Puts the rotated queries where the engine wants them, zeros for heads and elements that do not exist, and, if the
// block has the newest slot, writes the new key and value there. Several blocks of one large group write the same bytes.
template <typename Config>
__device__ __forceinline__ void stage_token(const AttendParams& params, const BlockWork& work, int newest,
                                            typename Config::Engine::Shared& shared) {
  using T = typename Config::Element;
  using Engine = typename Config::Engine;
  constexpr int kD = Config::kHeadDim, kX = kVecElems<T>;
  const SingleQueryAttentionParams& user = params.user;
  const T* q = static_cast<const T*>(user.q) + work.batch * user.q_batch_stride_elems;
  const bool owns_newest = newest >= work.range.begin && newest < work.range.end;

  for (int d = threadIdx.x; d < Engine::kQueryPadding; d += Config::kThreads) {
    if (d >= kD) {
#pragma unroll
      for (int h = 0; h < Config::kHeads; ++h) Engine::store_query(shared, h, d, 0.0f);
      continue;
    }
    const Rotation rotation = rotation_at(params, work.position, d);
#pragma unroll
    for (int h = 0; h < Config::kHeads; ++h) {
      const T* head = q + static_cast<int64_t>(work.first_head + h) * kD;
      Engine::store_query(shared, h, d, h < work.heads ? rotation.apply(head, d) : 0.0f);
    }
    if (owns_newest) {
      const int64_t kv_row = static_cast<int64_t>(work.batch) * user.kv_heads + work.kv_head;
      const int64_t cache_len = user.cache_len, head_offset = static_cast<int64_t>(work.kv_head) * kD;
      const T* k = static_cast<const T*>(user.k) + work.batch * user.k_batch_stride_elems + head_offset;
      const T* v = static_cast<const T*>(user.v) + work.batch * user.v_batch_stride_elems + head_offset;
      T* k_cache = static_cast<T*>(user.k_cache) + kv_row * cache_len * kD;
      T* v_cache = static_cast<T*>(user.v_cache) + kv_row * cache_len * kD;
      k_cache[(d / kX * cache_len + newest) * kX + d % kX] = narrow<T>(rotation.apply(k, d));
      v_cache[static_cast<int64_t>(newest) * kD + d] = v[d];
    }
  }
}

// Merges the warps' results in warp order and writes them: the output itself if the block had the whole sequence, else
// the piece's mean and the logarithm of its sum.
template <typename Config>
__device__ __forceinline__ void write_block(const AttendParams& params, const BlockWork& work,
                                            const AttendShared<Config>& shared) {
  using T = typename Config::Element;
  constexpr int kD = Config::kHeadDim, kWarps = Config::kWarps;
  const bool whole = work.range.used_splits == 1;
  for (int i = threadIdx.x; i < work.heads * kD; i += Config::kThreads) {
    const int h = i / kD, d = i % kD;
    float max = -INFINITY;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) max = fmaxf(max, shared.max[w][h]);
    float sum = 0.0f, out = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = decay(shared.max[w][h], max);
      sum = fmaf(weight, shared.sum[w][h], sum);
      out = fmaf(weight, shared.out[w][h * AttendShared<Config>::kOutStride + d], out);
    }
    out /= sum;
    const int64_t head_row = static_cast<int64_t>(work.batch) * params.user.heads + work.first_head + h;
    if (whole) {
      static_cast<T*>(params.user.out)[head_row * kD + d] = narrow<T>(out);
    } else {
      const int64_t piece = head_row * params.splits + blockIdx.y;
      params.partial_out[piece * kD + d] = out;
      if (d == 0) params.partial_lse[piece] = max + log2f(sum);
    }
  }
}

template <typename Config>
__device__ __forceinline__ void write_zeros(const AttendParams& params, const BlockWork& work) {
  using T = typename Config::Element;
  const int64_t first = (static_cast<int64_t>(work.batch) * params.user.heads + work.first_head) * Config::kHeadDim;
  T* out = static_cast<T*>(params.user.out) + first;
  for (int i = threadIdx.x; i < work.heads * Config::kHeadDim; i += Config::kThreads) out[i] = narrow<T>(0.0f);
}

template <typename Config>
__global__ void __launch_bounds__(Config::kThreads, Config::kMinBlocksPerSm)
    attend_kernel(const __grid_constant__ AttendParams params) {
  using T = typename Config::Element;
  using Engine = typename Config::Engine;
  __shared__ AttendShared<Config> shared;
  __shared__ float slopes[Config::kHeads];

  allow_next_kernel();
  const BlockWork work = block_work<Config::kHeads>(params);
  if (work.position < 0) {
    if (blockIdx.y == 0) write_zeros<Config>(params, work);
    return;
  }
  if (work.range.begin >= work.range.end) return;

  const SingleQueryAttentionParams& user = params.user;
  const int64_t kv_row = static_cast<int64_t>(work.batch) * user.kv_heads + work.kv_head;
  const int64_t cache_offset = kv_row * user.cache_len * Config::kHeadDim;
  const int newest = work.position % user.cache_len;
  const CacheView<T> cache = {static_cast<const T*>(user.k_cache) + cache_offset,
                              static_cast<const T*>(user.v_cache) + cache_offset, user.cache_len, work.range.end,
                              newest};

  constexpr int kTile = Engine::kTileSlots, kStep = kTile * Config::kWarps;
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  int tile = work.range.begin + warp * kTile;
  Engine engine(cache, lane);
  // The first loads overlap with staging the token, unless they would read the slot about to be written.
  const bool early = newest < tile || newest >= tile + kTile;
  if (early && tile < cache.end) {
    engine.prefetch_keys(tile);
    engine.prefetch_values(tile);
  }

  stage_token<Config>(params, work, newest, shared.engine);
  if (threadIdx.x < Config::kHeads) {
    constexpr float kLog2E = 1.4426950408889634f;
    const bool biased = user.alibi_slopes != nullptr && static_cast<int>(threadIdx.x) < work.heads;
    slopes[threadIdx.x] = biased ? user.alibi_slopes[work.first_head + threadIdx.x] * kLog2E : 0.0f;
  }
  __syncthreads();
  engine.set_slopes(slopes);

  if (!early) {
    engine.prefetch_keys(tile);
    engine.prefetch_values(tile);
  }
  // Loads of a tile past the end are masked off, so the last round needs no case of its own.
  for (; tile < cache.end; tile += kStep) {
    engine.score(shared.engine, tile, params.logit_scale);
    engine.prefetch_keys(tile + kStep);
    engine.accumulate();
    engine.prefetch_values(tile + kStep);
  }

  engine.finish(shared.max[warp], shared.sum[warp], shared.out[warp], AttendShared<Config>::kOutStride);
  __syncthreads();
  write_block<Config>(params, work, shared);
}

// Merges the pieces of one query head in piece order: warps take every eighth piece, lanes four elements each.
struct MergeConfig {
  static constexpr int kWarps = 8;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kMaxHeadDim = 256;
};

template <typename T>
__global__ void __launch_bounds__(MergeConfig::kThreads) merge_kernel(const __grid_constant__ AttendParams params) {
  __shared__ alignas(16) float out[MergeConfig::kWarps][MergeConfig::kMaxHeadDim];

  wait_for_previous_kernel();
  const SingleQueryAttentionParams& user = params.user;
  const int64_t head_row = blockIdx.x;
  const int position = position_of(user, static_cast<int>(blockIdx.x / static_cast<unsigned>(user.heads)));
  const int pieces = split_range(filled_slots(user, position), params.splits, 0).used_splits;
  if (pieces == 1) return;  // the attention kernel has written the output

  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize, head_dim = user.head_dim;
  const float* lse = params.partial_lse + head_row * params.splits;
  const float* partial = params.partial_out + head_row * params.splits * head_dim;
  float max = -INFINITY;
  for (int i = lane; i < pieces; i += kWarpSize) max = fmaxf(max, lse[i]);
#pragma unroll
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    max = fmaxf(max, __shfl_xor_sync(kFullMask, max, distance));
  }
  float sum = 0.0f;
  for (int i = lane; i < pieces; i += kWarpSize) sum += exp2f(lse[i] - max);
  sum = Sum::over_warp(sum);

  for (int d = lane * 4; d < head_dim; d += kWarpSize * 4) {
    float4 acc = {};
#pragma unroll 4
    for (int i = warp; i < pieces; i += MergeConfig::kWarps) {
      const float weight = exp2f(lse[i] - max);
      const float4 x = *reinterpret_cast<const float4*>(partial + static_cast<int64_t>(i) * head_dim + d);
      acc.x = fmaf(weight, x.x, acc.x);
      acc.y = fmaf(weight, x.y, acc.y);
      acc.z = fmaf(weight, x.z, acc.z);
      acc.w = fmaf(weight, x.w, acc.w);
    }
    *reinterpret_cast<float4*>(&out[warp][d]) = acc;
  }
  __syncthreads();
  for (int d = threadIdx.x; d < head_dim; d += MergeConfig::kThreads) {
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < MergeConfig::kWarps; ++w) total += out[w][d];
    static_cast<T*>(user.out)[head_row * head_dim + d] = narrow<T>(total / sum);
  }
}

template <typename Config>
cudaError_t launch_attend(const AttendParams& params, cudaStream_t stream) {
  const int64_t rows = static_cast<int64_t>(params.user.batch) * params.user.kv_heads * params.head_tiles;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(params.splits));
  attend_kernel<Config><<<grid, Config::kThreads, 0, stream>>>(params);
  return checked_launch();
}

template <typename T>
cudaError_t launch_merge(const AttendParams& params, cudaStream_t stream) {
  // The attribute lets the merge be set up while the attention kernel drains. Its wait is compiled from sm_90 on only,
  // so ask what code this device runs, not which device it is.
  cudaFuncAttributes attributes;
  if (const cudaError_t error = cudaFuncGetAttributes(&attributes, merge_kernel<T>); error != cudaSuccess) return error;
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;

  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(params.user.batch) * static_cast<unsigned>(params.user.heads));
  config.blockDim = dim3(MergeConfig::kThreads);
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = attributes.ptxVersion >= 90 ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, merge_kernel<T>, params);
  const cudaError_t last = checked_launch();
  return error != cudaSuccess ? error : last;
}

// The dispatch table: one row per head size, a column per number of query heads in a block. Groups of up to four heads
// use the first, which is more precise (mma_engine.cuh) and needs half the shared memory.
struct AttendRow {
  int head_dim;
  cudaError_t (*up_to_4_heads)(const AttendParams&, cudaStream_t);
  cudaError_t (*up_to_8_heads)(const AttendParams&, cudaStream_t);
};

template <typename T, int kHeadDim>
constexpr AttendRow kAttendRow = {kHeadDim, launch_attend<AttendConfig<T, kHeadDim, 4>>,
                                  launch_attend<AttendConfig<T, kHeadDim, 8>>};

template <typename T>
constexpr AttendRow kAttendTable[] = {
    kAttendRow<T, 32>,  kAttendRow<T, 48>,  kAttendRow<T, 64>,  kAttendRow<T, 80>,  kAttendRow<T, 96>,  kAttendRow<T, 112>,
    kAttendRow<T, 128>, kAttendRow<T, 160>, kAttendRow<T, 192>, kAttendRow<T, 224>, kAttendRow<T, 256>,
};

template <typename T>
cudaError_t attend(const AttendParams& params, cudaStream_t stream) {
  for (const AttendRow& row : kAttendTable<T>) {
    if (row.head_dim != params.user.head_dim) continue;
    const auto launch = params.group_heads <= 4 ? row.up_to_4_heads : row.up_to_8_heads;
    const cudaError_t error = launch(params, stream);
    return error == cudaSuccess && params.splits > 1 ? launch_merge<T>(params, stream) : error;
  }
  return cudaErrorInvalidValue;
}

}  // namespace awq

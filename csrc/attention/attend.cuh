// Decode attention: the kernels and their launch for one element type.
//
// A block takes one piece of one sequence for the query heads of one key-value head. It works in three steps:
//   1. It rotates the queries. If the newest slot is in its piece, it writes the new key and value.
//   2. Its warps take the tiles of the piece in turn. Each warp has its own online softmax.
//   3. It merges the results of the warps in warp order.
// Several pieces of a sequence are merged in piece order. If their blocks form a cluster, the blocks merge them.
// Otherwise a second kernel does. No sum depends on the order in which blocks run.
#pragma once

#include <algorithm>
#include <type_traits>

#include "csrc/attention/attend_params.h"
#include "csrc/attention/fma_engine.cuh"
#include "csrc/attention/mma_engine.cuh"
#include "csrc/common/launch.cuh"
#include "csrc/common/ptx.cuh"

namespace awq::attention {

// Tensor cores for 16-bit types from sm_80 on. Ordinary arithmetic on older architectures and for fp32.
template <typename T, int kHeadDim, int kHeads>
using EngineFromSm80 =
    std::conditional_t<sizeof(T) == 2, MmaEngine<T, kHeadDim, kHeads>, FmaEngine<T, kHeadDim, kHeads>>;

template <typename T, int kHeadDim_, int kHeads_>
struct AttendConfig {
  using Element = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kHeads = kHeads_;                                   // query heads of a block
  static constexpr int kWarps = sizeof(T) == 2 && kHeadDim > 192 ? 3 : 4;  // so many rings fit into sm_86's 99 KiB
  static constexpr int kThreads = kWarps * kWarpSize;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  using Engine = FmaEngine<T, kHeadDim, kHeads>;
#else
  using Engine = EngineFromSm80<T, kHeadDim, kHeads>;
#endif
};

// The rows of the warps' outputs are not a multiple of 32 floats, which spreads the stores of a warp over the banks.
// The outputs replace the ring of the warp.
template <typename Config, typename Engine = typename Config::Engine>
struct AttendShared {
  static constexpr int kOutStride = Config::kHeadDim + 2;
  union Warp {
    typename Engine::Ring ring;
    alignas(16) float out[Config::kHeads * kOutStride];
  };
  Warp warp[Config::kWarps];
  typename Engine::Shared engine;
  float max[Config::kWarps][Config::kHeads];
  float sum[Config::kWarps][Config::kHeads];
  float slopes[Config::kHeads];
  float lse[Config::kHeads];  // of the block, log2
};

// The part of the problem that a block has.
struct BlockWork {
  int batch, kv_head;
  int first_head, heads;  // query heads first_head .. first_head + heads - 1
  int position;           // t of the sequence
  int newest;             // its slot, t % L
  SplitRange range;

  __device__ __forceinline__ bool owns_newest() const { return newest >= range.begin && newest < range.end; }
  __device__ __forceinline__ int64_t kv_row(const SingleQueryAttentionParams& user) const {
    return static_cast<int64_t>(batch) * user.kv_heads + kv_head;
  }
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
  work.newest = work.position % params.user.cache_len;
  work.range = split_range(filled_slots(params.user, work.position), params.splits, blockIdx.y);
  return work;
}

// How one element of a head turns: with which other element, and in which of the two roles.
struct RotaryElement {
  int pair;
  int partner;  // itself if it does not turn
  bool turns, first;

  __device__ __forceinline__ RotaryElement(const SingleQueryAttentionParams& user, int d) {
    const int half = user.rotary_dim / 2;
    turns = d < user.rotary_dim;
    first = user.neox_rotary_style ? d < half : d % 2 == 0;
    pair = user.neox_rotary_style ? (first ? d : d - half) : d / 2;
    const int step = user.neox_rotary_style ? half : 1;
    partner = !turns ? d : first ? d + step : d - step;
  }
};

// x' = x * cos + partner * sin, the sign of the first element's sine included. An element that does not turn keeps its
// bits: infinity times a sine of zero would be NaN.
struct Rotation {
  bool turns;
  float cos, sin;
  __device__ __forceinline__ float apply(float x, float partner) const {
    return turns ? fmaf(x, cos, partner * sin) : x;
  }
};

// The angle is taken in turns and in fp64 up to the fraction of a turn: in fp32 it would be off by position * 2^-24,
// already 0.004 at position 2^16. A dozen fp64 operations are cheap also on GPUs with few fp64 units.
__device__ __forceinline__ Rotation rotation_at(const AttendParams& params, int position,
                                                const RotaryElement& element) {
  if (!element.turns) return {false, 1.0f, 0.0f};
  double factors[kPairBits + 1];
#pragma unroll
  for (int b = 0; b < kPairBits; ++b) factors[b] = (element.pair >> b & 1) != 0 ? params.rotary_powers[b] : 1.0;
  factors[kPairBits] = params.rotary_turns * position;
#pragma unroll
  for (int n = (kPairBits + 1) / 2; n > 0; n /= 2) {  // a tree: three products deep instead of seven
#pragma unroll
    for (int b = 0; b < n; ++b) factors[b] *= factors[b + n];
  }
  const double turns = factors[0];
  float sin, cos;
  sincospif(2.0f * static_cast<float>(turns - rint(turns)), &sin, &cos);
  return {true, cos, element.first ? -sin : sin};
}

// Element d of the token in each of the block's heads, with its partner. Loading comes apart from using, because the
// loads go all the way to memory and the angle takes as long.
template <typename Config>
struct TokenElement {
  using T = typename Config::Element;
  using Engine = typename Config::Engine;
  static constexpr int kD = Config::kHeadDim;

  T q[Config::kHeads], q_partner[Config::kHeads];
  T k, k_partner, v;

  __device__ __forceinline__ void load(const AttendParams& params, const BlockWork& work, int d) {
    const SingleQueryAttentionParams& user = params.user;
    const int partner = RotaryElement(user, d).partner;
    const T* q_heads = static_cast<const T*>(user.q) + work.batch * user.q_batch_stride_elems +
                       static_cast<int64_t>(work.first_head) * kD;
#pragma unroll
    for (int h = 0; h < Config::kHeads; ++h) {
      const bool exists = h < work.heads && d < kD;
      q[h] = exists ? q_heads[h * kD + d] : narrow<T>(0.0f);
      q_partner[h] = exists ? q_heads[h * kD + partner] : narrow<T>(0.0f);
    }
    if (work.owns_newest() && d < kD) {
      const int64_t head_offset = static_cast<int64_t>(work.kv_head) * kD;
      const T* k_head = static_cast<const T*>(user.k) + work.batch * user.k_batch_stride_elems + head_offset;
      k = k_head[d];
      k_partner = k_head[partner];
      v = (static_cast<const T*>(user.v) + work.batch * user.v_batch_stride_elems + head_offset)[d];
    }
  }

  // Writes the rotated queries to the place that the engine reads, with zeros for heads and elements that do not exist.
  // If the block has the newest slot, writes the new key and value there. Blocks that share a large group write the
  // same bytes.
  __device__ __forceinline__ void stage(const AttendParams& params, const BlockWork& work, int d,
                                        typename Engine::Shared& shared) const {
    const SingleQueryAttentionParams& user = params.user;
    const Rotation rotation = rotation_at(params, work.position, RotaryElement(user, d));
#pragma unroll
    for (int h = 0; h < Config::kHeads; ++h) {
      Engine::store_query(shared, h, d, rotation.apply(widen(q[h]), widen(q_partner[h])));
    }
    if (work.owns_newest() && d < kD) {
      constexpr int kX = kCacheVectorElems<T>;
      const int64_t cache_len = user.cache_len, cache_offset = work.kv_row(user) * cache_len * kD;
      T* k_slots = static_cast<T*>(user.k_cache) + cache_offset + static_cast<int64_t>(work.newest) * kX;
      T* v_slot = static_cast<T*>(user.v_cache) + cache_offset + static_cast<int64_t>(work.newest) * kD;
      const T key = narrow<T>(rotation.apply(widen(k), widen(k_partner)));
      k_slots[d / kX * cache_len * kX + d % kX] = key;
      v_slot[d] = v;
      Engine::store_token(shared, d, key, v);
    }
  }
};

__device__ __forceinline__ int64_t head_row(const AttendParams& params, const BlockWork& work, int head) {
  return static_cast<int64_t>(work.batch) * params.user.heads + work.first_head + head;
}

template <typename Config>
__device__ __forceinline__ void write_output(const AttendParams& params, const BlockWork& work, int h, int d, float x) {
  using T = typename Config::Element;
  static_cast<T*>(params.user.out)[head_row(params, work, h) * Config::kHeadDim + d] = narrow<T>(x);
}

// Merges the warps' results in warp order. The block's mean goes to the output if it had the whole sequence; else, with
// the logarithm of its sum, to shared memory for its cluster or to the workspace.
template <typename Config>
__device__ __forceinline__ void merge_warps(const AttendParams& params, const BlockWork& work,
                                            AttendShared<Config>& shared) {
  constexpr int kD = Config::kHeadDim, kWarps = Config::kWarps, kStride = AttendShared<Config>::kOutStride;
#pragma unroll 1
  for (int i = threadIdx.x; i < work.heads * kD; i += Config::kThreads) {
    const int h = i / kD, d = i % kD;
    float max = -INFINITY;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) max = fmaxf(max, shared.max[w][h]);
    float sum = 0.0f, out = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = exp2f(shared.max[w][h] - max);  // 0 for a warp without a tile
      sum = fmaf(weight, shared.sum[w][h], sum);
      out = fmaf(weight, shared.warp[w].out[h * kStride + d], out);
    }
    out = __fdividef(out, sum);  // 2 ulp; the sum lies between 1 and L
    if (work.range.used_splits == 1) {
      write_output<Config>(params, work, h, d, out);
    } else if (params.clustered) {
      shared.warp[0].out[h * kStride + d] = out;  // only this thread has read it
      if (d == 0) shared.lse[h] = max + log2f(sum);
    } else {
      const int64_t piece = head_row(params, work, h) * params.splits + blockIdx.y;
      params.partial_out[piece * kD + d] = out;
      if (d == 0) params.partial_lse[piece] = max + log2f(sum);
    }
  }
}

// Merges the blocks of a cluster in piece order; each writes its share of the output.
template <typename Config>
__device__ __forceinline__ void merge_cluster(const AttendParams& params, const BlockWork& work,
                                              const AttendShared<Config>& shared) {
  constexpr int kD = Config::kHeadDim;
  const int pieces = work.range.used_splits;
  ptx::cluster_arrive_release();
  ptx::cluster_wait();
#pragma unroll 1
  for (int i = blockIdx.y * Config::kThreads + threadIdx.x; i < work.heads * kD; i += pieces * Config::kThreads) {
    const int h = i / kD, d = i % kD;
    float lse[kMaxClusterSplits], out[kMaxClusterSplits], max = -INFINITY;
#pragma unroll
    for (int piece = 0; piece < kMaxClusterSplits; ++piece) {
      if (piece < pieces) {
        lse[piece] = ptx::load_from_block(&shared.lse[h], piece);
        out[piece] = ptx::load_from_block(&shared.warp[0].out[h * AttendShared<Config>::kOutStride + d], piece);
      }
    }
#pragma unroll
    for (int piece = 0; piece < kMaxClusterSplits; ++piece) {
      if (piece < pieces) max = fmaxf(max, lse[piece]);
    }
    float sum = 0.0f, total = 0.0f;
#pragma unroll
    for (int piece = 0; piece < kMaxClusterSplits; ++piece) {
      if (piece < pieces) {
        const float weight = exp2f(lse[piece] - max);
        sum += weight;
        total = fmaf(weight, out[piece], total);
      }
    }
    write_output<Config>(params, work, h, d, __fdividef(total, sum));
  }
  ptx::cluster_arrive();  // nobody leaves while its shared memory is read
  ptx::cluster_wait();
}

template <typename Config>
__device__ __forceinline__ void write_zeros(const AttendParams& params, const BlockWork& work) {
  using T = typename Config::Element;
  const int64_t first = (static_cast<int64_t>(work.batch) * params.user.heads + work.first_head) * Config::kHeadDim;
  T* out = static_cast<T*>(params.user.out) + first;
  for (int i = threadIdx.x; i < work.heads * Config::kHeadDim; i += Config::kThreads) out[i] = narrow<T>(0.0f);
}

// A block's own part: from the token to the warps' results in shared memory.
template <typename Config>
__device__ __forceinline__ void attend_range(const AttendParams& params, const BlockWork& work,
                                             AttendShared<Config>& shared) {
  using T = typename Config::Element;
  using Engine = typename Config::Engine;
  const SingleQueryAttentionParams& user = params.user;
  const int64_t cache_offset = work.kv_row(user) * user.cache_len * Config::kHeadDim;
  const CacheView<T> cache = {static_cast<const T*>(user.k_cache) + cache_offset,
                              static_cast<const T*>(user.v_cache) + cache_offset, user.cache_len, work.range.end,
                              work.newest};

  constexpr int kTokenElements = ceil_div(Engine::kQueryPadding, Config::kThreads);
  TokenElement<Config> token[kTokenElements];
#pragma unroll
  for (int i = 0; i < kTokenElements; ++i) token[i].load(params, work, threadIdx.x + i * Config::kThreads);

  constexpr int kTile = Engine::kTileSlots, kStep = kTile * Config::kWarps;
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  int tile = work.range.begin + warp * kTile;
  Engine engine(cache, shared.warp[warp].ring, lane, kStep);
  engine.start(tile);  // overlaps with staging the token

#pragma unroll
  for (int i = 0; i < kTokenElements; ++i) {
    const int d = threadIdx.x + i * Config::kThreads;
    if (d < Engine::kQueryPadding) token[i].stage(params, work, d, shared.engine);
  }
  if (threadIdx.x < Config::kHeads) {
    constexpr float kLog2E = 1.4426950408889634f;
    const bool biased = user.alibi_slopes != nullptr && static_cast<int>(threadIdx.x) < work.heads;
    shared.slopes[threadIdx.x] = biased ? user.alibi_slopes[work.first_head + threadIdx.x] * kLog2E : 0.0f;
  }
  __syncthreads();
  engine.set_slopes(shared.slopes);

  engine.token_is_staged(shared.engine, tile);
  for (; tile < cache.end; tile += kStep) {
    engine.score(shared.engine, tile, params.logit_scale);
    engine.accumulate(shared.engine, tile);
  }
  engine.finish(shared.max[warp], shared.sum[warp], shared.warp[warp].out, AttendShared<Config>::kOutStride);
  __syncthreads();
}

template <typename Config>
__global__ void __launch_bounds__(Config::kThreads, Config::Engine::kMinBlocksPerSm)
    attend_kernel(const __grid_constant__ AttendParams params) {
  extern __shared__ uint4 shared_memory[];
  AttendShared<Config>& shared = *reinterpret_cast<AttendShared<Config>*>(shared_memory);
  ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  const BlockWork work = block_work<Config::kHeads>(params);
  if (work.position < 0) {
    if (blockIdx.y == 0) write_zeros<Config>(params, work);
    return;
  }
  if (work.range.begin >= work.range.end) return;  // a cluster's barriers do not wait for blocks that have left
  attend_range<Config>(params, work, shared);
  merge_warps<Config>(params, work, shared);
  if (params.clustered && work.range.used_splits > 1) merge_cluster<Config>(params, work, shared);
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

  ptx::wait_for_previous_kernel();
  ptx::allow_next_kernel();
  const SingleQueryAttentionParams& user = params.user;
  const int64_t row = blockIdx.x;
  const int position = position_of(user, static_cast<int>(blockIdx.x / static_cast<unsigned>(user.heads)));
  const int pieces = split_range(filled_slots(user, position), params.splits, 0).used_splits;
  if (pieces == 1) return;  // the attention kernel has written the output

  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize, head_dim = user.head_dim;
  const float* lse = params.partial_lse + row * params.splits;
  const float* partial = params.partial_out + row * params.splits * head_dim;
  const auto load = [&](int piece, int d) {
    const bool exists = piece < pieces && d < head_dim;
    return exists ? *reinterpret_cast<const float4*>(partial + static_cast<int64_t>(piece) * head_dim + d) : float4{};
  };
  const auto weight_of = [&](int piece, float max) { return piece < pieces ? exp2f(lse[piece] - max) : 0.0f; };

  // The first pieces' loads do not wait for the weights.
  constexpr int kAhead = 4, kStep = kAhead * MergeConfig::kWarps;
  float4 x[kAhead];
#pragma unroll
  for (int j = 0; j < kAhead; ++j) x[j] = load(warp + j * MergeConfig::kWarps, lane * 4);

  float max = -INFINITY;
  for (int i = lane; i < pieces; i += kWarpSize) max = fmaxf(max, lse[i]);
  max = max_over_lanes<1>(max);
  float sum = 0.0f;
  for (int i = lane; i < pieces; i += kWarpSize) sum += exp2f(lse[i] - max);
  sum = sum_over_lanes<1>(sum);

  for (int d = lane * 4; d < head_dim; d += kWarpSize * 4) {
    float4 acc = {};
    for (int first = warp; first < pieces; first += kStep) {
#pragma unroll
      for (int j = 0; j < kAhead; ++j) {
        const int piece = first + j * MergeConfig::kWarps;
        if (first != warp || d != lane * 4) x[j] = load(piece, d);
        const float weight = weight_of(piece, max);
        acc.x = fmaf(weight, x[j].x, acc.x);
        acc.y = fmaf(weight, x[j].y, acc.y);
        acc.z = fmaf(weight, x[j].z, acc.z);
        acc.w = fmaf(weight, x[j].w, acc.w);
      }
    }
    *reinterpret_cast<float4*>(&out[warp][d]) = acc;
  }
  __syncthreads();
  for (int d = threadIdx.x; d < head_dim; d += MergeConfig::kThreads) {
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < MergeConfig::kWarps; ++w) total += out[w][d];
    static_cast<T*>(user.out)[row * head_dim + d] = narrow<T>(total / sum);
  }
}

// The architecture whose code of `kernel` this device runs, as 10 * major + minor; not the device's own: it may have
// compiled an older architecture's PTX. Clusters and programmatic launch are compiled from sm_90 on only.
// Lets it have the shared memory that it needs from sm_80 on.
template <typename Kernel>
cudaError_t code_arch(Kernel kernel, int smem_bytes_from_sm80, int* arch) {
  cudaFuncAttributes attributes{};
  if (const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel); error != cudaSuccess) return error;
  *arch = attributes.ptxVersion;
  if (*arch < 80 || attributes.maxDynamicSharedSizeBytes >= smem_bytes_from_sm80) return cudaSuccess;
  // First use on this device. All that any launch may ask for, as another thread may be about to make one.
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  const int most_bytes = std::min(std::max(smem_bytes_from_sm80, kExclusiveSmemBytes), device.max_smem_bytes_per_block);
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_bytes);
}

// Both kernels overlap with the end of the one before: the attention kernel with the caller's, the merge with the
// attention.
template <typename Config>
cudaError_t launch_attend(const AttendParams& request, cudaStream_t stream) {
  AttendParams params = request;
  using T = typename Config::Element;
  using Early = FmaEngine<T, Config::kHeadDim, Config::kHeads>;
  using Late = EngineFromSm80<T, Config::kHeadDim, Config::kHeads>;
  constexpr int kSmemBytes = sizeof(AttendShared<Config, Late>);
  static_assert(kSmemBytes <= 99 * 1024, "what a block of every device from sm_80 on may have");
  int arch = 0;
  const int late_bytes = params.exclusive ? std::max(kSmemBytes, kExclusiveSmemBytes) : kSmemBytes;
  if (const cudaError_t error = code_arch(attend_kernel<Config>, late_bytes, &arch); error != cudaSuccess) return error;
  const bool sm90 = arch >= 90;
  const int smem_bytes = arch >= 80 ? late_bytes : static_cast<int>(sizeof(AttendShared<Config, Early>));
  const auto splits = static_cast<unsigned>(params.splits);
  params.clustered = sm90 && params.clustered;

  const int64_t rows = static_cast<int64_t>(params.user.batch) * params.user.kv_heads * params.head_tiles;
  const LaunchShape shape = {dim3(static_cast<unsigned>(rows), splits), Config::kThreads,
                             static_cast<size_t>(smem_bytes), params.clustered ? splits : 1};
  const cudaError_t error = launch_kernel(attend_kernel<Config>, shape, sm90, stream, params);
  if (error != cudaSuccess || params.clustered || splits == 1) return error;
  const unsigned heads = static_cast<unsigned>(params.user.batch) * static_cast<unsigned>(params.user.heads);
  return launch_kernel(merge_kernel<T>, {heads, MergeConfig::kThreads}, sm90, stream, params);
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

template <typename T, int... kSizes>
struct AttendTable {
  static constexpr AttendRow kRows[sizeof...(kSizes)] = {kAttendRow<T, kSizes>...};
};

template <typename T>
cudaError_t attend(const AttendParams& params, cudaStream_t stream) {
  for (const AttendRow& row : AttendTable<T, AWQ_HEAD_DIMS>::kRows) {
    if (row.head_dim != params.user.head_dim) continue;
    const auto launch = params.group_heads <= 4 ? row.up_to_4_heads : row.up_to_8_heads;
    return launch(params, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace awq::attention

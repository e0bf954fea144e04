// Rotary embedding out of place, from angles, for input of any strides.
#include <algorithm>

#include "csrc/common/device.h"
#include "csrc/common/vector.cuh"
#include "csrc/rope/rope.h"

namespace awq {
namespace rope_with_pos {

constexpr int kBlockThreads = 256;
constexpr int kTilePairs = 512;  // pairs of elements whose angles a block holds at a time: 8 KiB

// Cosines and sines of the angles of pairs [first, first + count) of a few tokens, `token_pairs` places for each token.
// Each is used for all heads.
struct alignas(32) AngleTile {  // as the widest vector that is read from it
  float cosine[2][kTilePairs];  // [0]: the angle of the pair's lower element, [1]: that of the upper one
  float sine[2][kTilePairs];
};

// sincosf, not its fast form: angles are positions times frequencies and reach hundreds of thousands of radians, where
// the fast form, which only works near zero, is noise. It runs once per token and angle, so its cost vanishes.
__device__ __forceinline__ void fill_angles(AngleTile& tile, const float* angles, int64_t half, int64_t first,
                                            unsigned count, unsigned tokens, unsigned token_pairs) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  for (unsigned i = thread; i < 2 * count * tokens; i += blockDim.x * blockDim.y * blockDim.z) {
    const unsigned token = i / (2 * count), of_token = i % (2 * count);
    const unsigned upper = of_token >= count, pair = of_token - upper * count, at = token * token_pairs + pair;
    sincosf(angles[(2 * token + upper) * half + first + pair], &tile.sine[upper][at], &tile.cosine[upper][at]);
  }
}

// The vectors that turn together, of kHeads heads.
template <typename T, int kCount, int kHeads>
struct Pairs {
  Vec<T, kCount> low[kHeads], high[kHeads];

  // `heads` of them exist, `head_stride` elements apart.
  __device__ __forceinline__ void load(const T* at, int heads, int64_t head_stride, int64_t half_stride) {
#pragma unroll
    for (int j = 0; j < kHeads; ++j) {
      if (j >= heads) break;
      low[j] = load_vec<Vec<T, kCount>>(at + j * head_stride);
      high[j] = load_vec<Vec<T, kCount>>(at + j * head_stride + half_stride);
    }
  }

  __device__ __forceinline__ void turn_into(T* at, int heads, int64_t head_stride, int64_t half, const AngleTile& tile,
                                            int pair) const {
    // One half after the other, so that the angles of one at a time take registers.
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      float cosine[kCount], sine[kCount];
      widen(load_vec<Vec<float, kCount>>(tile.cosine[upper] + pair), cosine);
      widen(load_vec<Vec<float, kCount>>(tile.sine[upper] + pair), sine);
#pragma unroll
      for (int j = 0; j < kHeads; ++j) {
        if (j >= heads) break;
        float x[kCount], y[kCount], turned[kCount];
        widen(low[j], x);
        widen(high[j], y);
#pragma unroll
        for (int e = 0; e < kCount; ++e) {
          turned[e] = upper ? fmaf(y[e], cosine[e], x[e] * sine[e]) : fmaf(x[e], cosine[e], -(y[e] * sine[e]));
        }
        store_vec(at + j * head_stride + upper * half, narrow<T>(turned));
      }
    }
  }
};

// threadIdx.x runs over the vectors of a head, y over heads, z over tokens. A thread takes kHeads heads at a time, for
// which it reads the angles once. kCount > 1 needs unit stride in d.
template <typename T, int kCount, int kHeads>
__global__ void __launch_bounds__(kBlockThreads, 3) rope_with_pos_kernel(const RopeWithPosParams p) {
  __shared__ AngleTile tile;
  const int64_t half = p.d2 / 2, rows = p.s * p.b;
  const int64_t stride_d = kCount > 1 ? 1 : p.stride_d_elems;
  const int token_pairs = kTilePairs / static_cast<int>(blockDim.z) / kCount * kCount;  // whole vectors
  const int head_step = blockDim.y;

  for (int64_t block_row = static_cast<int64_t>(blockIdx.x) * blockDim.z; block_row < rows;
       block_row += static_cast<int64_t>(gridDim.x) * blockDim.z) {
    // Rows of angles are in the order (b, s).
    const int64_t row = block_row + threadIdx.z, b = row / p.s, s = row % p.s;
    const bool exists = row < rows;
    const T* const input = static_cast<const T*>(p.input) + s * p.stride_s_elems + b * p.stride_b_elems;
    T* const out = static_cast<T*>(p.out) + (p.transpose_output_memory ? row : s * p.b + b) * p.h * p.d;
    const auto heads_from = [&](int64_t head) {
      return static_cast<int>(min(static_cast<int64_t>(kHeads), (p.h - head + head_step - 1) / head_step));
    };

    for (int64_t first = 0; first < half; first += token_pairs) {
      const int count = static_cast<int>(min(static_cast<int64_t>(token_pairs), half - first));
      Pairs<T, kCount, kHeads> current;
      const auto load = [&](int pair, int64_t head) {
        current.load(input + head * p.stride_h_elems + (first + pair) * stride_d, heads_from(head),
                     head_step * p.stride_h_elems, half * stride_d);
      };
      // The thread's first vectors are asked for before the angles are worked out; usually they are its only ones.
      if (exists && threadIdx.x * kCount < count) load(threadIdx.x * kCount, threadIdx.y);
      const auto tokens = static_cast<unsigned>(min(static_cast<int64_t>(blockDim.z), rows - block_row));
      fill_angles(tile, p.freqs + block_row * p.d2, half, first, count, tokens, token_pairs);
      __syncthreads();
      for (int pair = threadIdx.x * kCount; exists && pair < count; pair += blockDim.x * kCount) {
        for (int64_t head = threadIdx.y; head < p.h; head += kHeads * head_step) {
          if (pair != threadIdx.x * kCount || head != threadIdx.y) load(pair, head);
          current.turn_into(out + head * p.d + first + pair, heads_from(head), head_step * p.d, half, tile,
                            threadIdx.z * token_pairs + pair);
        }
      }
      __syncthreads();  // before the tile is filled again
    }

    for (int64_t head = threadIdx.y; exists && head < p.h; head += head_step) {
      const T* const from = input + head * p.stride_h_elems;
      T* const to = out + head * p.d;
      for (int64_t i = p.d2 + threadIdx.x * kCount; i < p.d; i += blockDim.x * kCount) {
        store_vec(to + i, load_vec<Vec<T, kCount>>(from + i * stride_d));
      }
    }
  }
}

template <typename T, int kCount, int kHeads>
cudaError_t launch(const RopeWithPosParams& p, int max_tokens, cudaStream_t stream) {
  const int64_t vectors = std::max(p.d2 / 2, p.d - p.d2) / kCount;  // of one head, in the longer of the two loops
  const int width = static_cast<int>(std::clamp<int64_t>(vectors, 1, kBlockThreads));
  const int heads = static_cast<int>(std::min<int64_t>(ceil_div(p.h, kHeads), kBlockThreads / width));
  const int tokens = std::min(kBlockThreads / (width * heads), max_tokens);
  const int64_t blocks = ceil_div(p.s * p.b, tokens);
  rope_with_pos_kernel<T, kCount, kHeads>
      <<<static_cast<unsigned>(std::min<int64_t>(blocks, INT32_MAX)), dim3(width, heads, tokens), 0, stream>>>(p);
  return checked_launch();
}

// With few tokens a thread takes one head and a block one token: what counts is how soon all loads are under way.
template <typename T, int kCount>
cudaError_t launch(const RopeWithPosParams& p, cudaStream_t stream) {
  DeviceInfo device{};
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  constexpr int kFewTokensPerSm = 8;
  const bool few = p.s * p.b <= int64_t{kFewTokensPerSm} * device.sm_count;
  return few ? launch<T, kCount, 1>(p, 1, stream) : launch<T, kCount, 2>(p, 4, stream);
}

}  // namespace rope_with_pos

cudaError_t launch_rope_with_pos(const RopeWithPosParams& params, cudaStream_t stream) {
  const RopeWithPosParams& p = params;
  const bool sizes_fit =
      p.s >= 0 && p.b >= 0 && p.h >= 0 && p.d >= 0 && p.d <= INT32_MAX && p.d2 >= 0 && p.d2 % 2 == 0 && p.d2 <= p.d;
  if (!sizes_fit) return cudaErrorInvalidValue;
  return dispatch_dtype(p.dtype, [&](auto element) {
    using T = decltype(element);
    constexpr int kElems = kVecElems<T>;
    if (p.s == 0 || p.b == 0 || p.h == 0 || p.d == 0) return cudaSuccess;
    const bool strides_fit = p.stride_d_elems == 1 && p.stride_h_elems % kElems == 0 &&
                             p.stride_b_elems % kElems == 0 && p.stride_s_elems % kElems == 0;
    const bool vectors =
        strides_fit && p.d2 % (2 * kElems) == 0 && p.d % kElems == 0 && is_aligned(p.input) && is_aligned(p.out);
    return vectors ? rope_with_pos::launch<T, kElems>(p, stream) : rope_with_pos::launch<T, 1>(p, stream);
  });
}

}  // namespace awq

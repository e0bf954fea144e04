// Rotary embedding out of place, from angles, for input of any strides.
#include <algorithm>

#include "csrc/common/device.h"
#include "csrc/common/vector.cuh"
#include "csrc/rope/rope.h"

namespace awq {
namespace rope_with_pos {

constexpr int kBlockThreads = 256;
constexpr int64_t kMaxGridY = 65535;
constexpr int kTilePairs = 512;  // pairs of elements whose angles a block holds at a time: 8 KiB

// Cosines and sines of the angles of pairs [first, first + count), each used for all heads of the token.
struct alignas(32) AngleTile {  // as the widest vector that is read from it
  float cosine[2][kTilePairs];  // [0]: the angle of the pair's lower element, [1]: that of the upper one
  float sine[2][kTilePairs];
};

// sincosf, not its fast form: angles are positions times frequencies and reach hundreds of thousands of radians, where
// the fast form, which only works near zero, is noise. It runs once per token and angle, so its cost vanishes.
__device__ __forceinline__ void fill_angles(AngleTile& tile, const float* angles, int64_t half, int64_t first,
                                            int count) {
  for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < 2 * count; i += blockDim.x * blockDim.y) {
    const int upper = i >= count;
    const int pair = i - upper * count;
    sincosf(angles[upper * half + first + pair], &tile.sine[upper][pair], &tile.cosine[upper][pair]);
  }
}

// The two vectors of one head that turn together.
template <typename T, int kCount>
struct Pair {
  Vec<T, kCount> low, high;

  __device__ __forceinline__ void load(const T* at, int64_t half, int64_t stride_d) {
    low = load_vec<Vec<T, kCount>>(at);
    high = load_vec<Vec<T, kCount>>(at + half * stride_d);
  }

  __device__ __forceinline__ void turn_into(T* at, int64_t half, const AngleTile& tile, int pair) const {
    float x[kCount], y[kCount];
    widen(low, x);
    widen(high, y);
    // One half after the other, so that the angles of one at a time take registers.
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      float cosine[kCount], sine[kCount], turned[kCount];
      widen(load_vec<Vec<float, kCount>>(tile.cosine[upper] + pair), cosine);
      widen(load_vec<Vec<float, kCount>>(tile.sine[upper] + pair), sine);
#pragma unroll
      for (int e = 0; e < kCount; ++e) {
        turned[e] = upper ? fmaf(y[e], cosine[e], x[e] * sine[e]) : fmaf(x[e], cosine[e], -(y[e] * sine[e]));
      }
      store_vec(at + upper * half, narrow<T>(turned));
    }
  }
};

// One block per token. threadIdx.x runs over the vectors of a head, y over heads. kCount > 1 needs unit stride in d.
template <typename T, int kCount>
__global__ void __launch_bounds__(kBlockThreads, 4) rope_with_pos_kernel(const RopeWithPosParams p) {
  __shared__ AngleTile tile;
  const int64_t half = p.d2 / 2;
  const int64_t stride_d = kCount > 1 ? 1 : p.stride_d_elems;

  for (int64_t b = blockIdx.y; b < p.b; b += gridDim.y) {
    for (int64_t s = blockIdx.x; s < p.s; s += gridDim.x) {
      const int64_t row = b * p.s + s;
      const T* const input = static_cast<const T*>(p.input) + s * p.stride_s_elems + b * p.stride_b_elems;
      T* const out = static_cast<T*>(p.out) + (p.transpose_output_memory ? row : s * p.b + b) * p.h * p.d;

      for (int64_t first = 0; first < half; first += kTilePairs) {
        const int count = static_cast<int>(min(static_cast<int64_t>(kTilePairs), half - first));
        // The thread's first vectors are asked for before the angles are worked out; usually they are its only ones.
        Pair<T, kCount> ahead;
        const bool any = threadIdx.x * kCount < count;  // the grid has no rows of threads without a head
        const T* const start = input + threadIdx.y * p.stride_h_elems + (first + threadIdx.x * kCount) * stride_d;
        if (any) ahead.load(start, half, stride_d);
        fill_angles(tile, p.freqs + row * p.d2, half, first, count);
        __syncthreads();
        for (int pair = threadIdx.x * kCount; pair < count; pair += blockDim.x * kCount) {
          for (int64_t head = threadIdx.y; head < p.h; head += blockDim.y) {
            Pair<T, kCount> current = ahead;
            if (pair != threadIdx.x * kCount || head != threadIdx.y) {
              current.load(input + head * p.stride_h_elems + (first + pair) * stride_d, half, stride_d);
            }
            current.turn_into(out + head * p.d + first + pair, half, tile, pair);
          }
        }
        __syncthreads();  // before the tile is filled again
      }

      for (int64_t head = threadIdx.y; head < p.h; head += blockDim.y) {
        const T* const from = input + head * p.stride_h_elems;
        T* const to = out + head * p.d;
        for (int64_t i = p.d2 + threadIdx.x * kCount; i < p.d; i += blockDim.x * kCount) {
          store_vec(to + i, load_vec<Vec<T, kCount>>(from + i * stride_d));
        }
      }
    }
  }
}

template <typename T, int kCount>
cudaError_t launch(const RopeWithPosParams& p, cudaStream_t stream) {
  const int64_t vectors = std::max(p.d2 / 2, p.d - p.d2) / kCount;  // of one head, in the longer of the two loops
  const int width = static_cast<int>(std::clamp<int64_t>(vectors, 1, kBlockThreads));
  const int heads = static_cast<int>(std::min<int64_t>(p.h, kBlockThreads / width));
  const dim3 grid(static_cast<unsigned>(std::min<int64_t>(p.s, INT32_MAX)),
                  static_cast<unsigned>(std::min<int64_t>(p.b, kMaxGridY)));
  rope_with_pos_kernel<T, kCount><<<grid, dim3(width, heads), 0, stream>>>(p);
  return checked_launch();
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

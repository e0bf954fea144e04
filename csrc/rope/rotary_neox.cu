// Rotary embedding in place, cosines and sines from a table.
#include <algorithm>

#include "csrc/common/device.h"
#include "csrc/common/vector.cuh"
#include "csrc/rope/rope.h"

namespace awq {
namespace rotary_neox {

constexpr int kBlockThreads = 256;

// The order of operations is spelled out so that every kernel here rounds alike. Named functions per type: fma without
// a suffix may mean fp64's.
__device__ __forceinline__ float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double multiply_add(double a, double b, double c) { return __fma_rn(a, b, c); }

// One turn of the plane (x, y).
template <typename A>
__device__ __forceinline__ void rotate(A& x, A& y, A cosine, A sine) {
  const A turned = multiply_add(x, cosine, -(y * sine));
  y = multiply_add(y, cosine, x * sine);
  x = turned;
}

// One head's pair of vectors, if the head exists.
template <typename T, int kCount>
struct HeadPart {
  using V = Vec<T, kCount>;

  __device__ __forceinline__ HeadPart(T* at, int half, bool present) : at_(at), half_(half), present_(present) {
    if (present_) {
      low_ = load_vec<V>(at_);
      high_ = load_vec<V>(at_ + half_);
    }
  }

  __device__ __forceinline__ void turn(const V& cosines, const V& sines) {
    if (!present_) return;
    Accumulator<T> x[kCount], y[kCount], cosine[kCount], sine[kCount];
    widen(low_, x);
    widen(high_, y);
    widen(cosines, cosine);
    widen(sines, sine);
#pragma unroll
    for (int e = 0; e < kCount; ++e) rotate(x[e], y[e], cosine[e], sine[e]);
    store_vec(at_, narrow<T>(x));
    store_vec(at_ + half_, narrow<T>(y));
  }

 private:
  T* at_;
  int half_;
  bool present_;
  V low_, high_;
};

// Block: threadIdx.x runs over the pairs of vectors of a head, y over heads, z over tokens; nothing needs a division.
template <typename T, int kCount>
__global__ void __launch_bounds__(kBlockThreads, 4) rotary_neox_kernel(const RotaryNeoxParams p) {
  using V = Vec<T, kCount>;
  using A = Accumulator<T>;
  const int half = p.rot_dim / 2;
  const int most_heads = max(p.query_heads, p.key_heads);

  for (int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.z + threadIdx.z; t < p.tokens;
       t += static_cast<int64_t>(gridDim.x) * blockDim.z) {
    const int64_t position = p.positions[t];
    T* const query = static_cast<T*>(p.query) + t * p.query_stride_elems;
    T* const key = static_cast<T*>(p.key) + t * p.key_stride_elems;

    for (int i = threadIdx.x * kCount; i < half; i += blockDim.x * kCount) {
      for (int head = threadIdx.y; head < most_heads; head += blockDim.y) {
        // Query and key are asked for before the position is waited for, on which the table's row depends.
        const int64_t offset = static_cast<int64_t>(head) * p.head_size + i;
        HeadPart<T, kCount> of_query(query + offset, half, head < p.query_heads);
        HeadPart<T, kCount> of_key(key + offset, half, head < p.key_heads);

        V cosine, sine;
        if (position >= 0 && position < p.max_position) {
          const T* const cosines = static_cast<const T*>(p.cos_sin_cache) + position * p.rot_dim;
          cosine = load_vec<V>(cosines + i);
          sine = load_vec<V>(cosines + half + i);
        } else {
          A nowhere[kCount];
#pragma unroll
          for (int e = 0; e < kCount; ++e) nowhere[e] = static_cast<A>(NAN);
          cosine = sine = narrow<T>(nowhere);
        }
        of_query.turn(cosine, sine);
        of_key.turn(cosine, sine);
      }
    }
  }
}

template <typename T, int kCount>
cudaError_t launch(const RotaryNeoxParams& p, cudaStream_t stream) {
  const int pairs = p.rot_dim / 2 / kCount;  // exact, since the caller saw that kCount divides half
  const int width = std::min(pairs, kBlockThreads);
  const int heads = std::min(std::max(p.query_heads, p.key_heads), kBlockThreads / width);
  const int tokens = std::min(kBlockThreads / (width * heads), 64);  // 64 is the most that a block's z may be
  const int64_t blocks = std::min<int64_t>(ceil_div(p.tokens, tokens), INT32_MAX);
  rotary_neox_kernel<T, kCount><<<static_cast<unsigned>(blocks), dim3(width, heads, tokens), 0, stream>>>(p);
  return checked_launch();
}

}  // namespace rotary_neox

cudaError_t launch_rotary_neox(const RotaryNeoxParams& params, cudaStream_t stream) {
  const RotaryNeoxParams& p = params;
  const bool sizes_fit = p.tokens >= 0 && p.query_heads >= 0 && p.key_heads >= 0 && p.rot_dim >= 0 &&
                         p.rot_dim % 2 == 0 && p.rot_dim <= p.head_size;
  if (!sizes_fit) return cudaErrorInvalidValue;
  return dispatch_dtype<true>(p.dtype, [&](auto element) {
    using T = decltype(element);
    constexpr int kElems = kVecElems<T>;
    if (p.tokens == 0 || p.rot_dim == 0 || p.query_heads + p.key_heads == 0) return cudaSuccess;
    const auto whole = [&](const void* base, int64_t stride_elems, int heads) {
      return heads == 0 || (is_aligned(base) && stride_elems % kElems == 0);
    };
    const bool vectors = p.rot_dim % (2 * kElems) == 0 && p.head_size % kElems == 0 && is_aligned(p.cos_sin_cache) &&
                         whole(p.query, p.query_stride_elems, p.query_heads) &&
                         whole(p.key, p.key_stride_elems, p.key_heads);
    return vectors ? rotary_neox::launch<T, kElems>(p, stream) : rotary_neox::launch<T, 1>(p, stream);
  });
}

}  // namespace awq

// Sixteen-byte accesses, the widest of a thread. They keep the memory busy with few instructions. Each access also has
// a scalar form, for addresses or row ends that do not allow 16 bytes. Both forms give the same values, so results do
// not depend on alignment.
#pragma once

#include <cstdint>
#include <type_traits>

#include "csrc/common/convert.cuh"
#include "csrc/common/ptx.cuh"

namespace awq {

constexpr int kVectorBytes = 16;

// kCount elements of T that move as one access, or as several if they have more than 16 bytes. They are held as words.
// The compiler would keep each element of an array of __half in a separate register and store them one by one. The
// rotary embedding then took 138 us instead of 39.
template <typename T, int kCount = kVectorBytes / static_cast<int>(sizeof(T))>
struct alignas(sizeof(T) * kCount < kVectorBytes ? sizeof(T) * kCount : kVectorBytes) Vec {
  static constexpr int kElems = kCount;
  static constexpr int kBytes = static_cast<int>(sizeof(T)) * kCount;
  using Word = std::conditional_t<kBytes % 4 == 0, uint32_t, std::conditional_t<kBytes == 2, uint16_t, uint8_t>>;
  static constexpr int kWords = kBytes / static_cast<int>(sizeof(Word));

  Word words[kWords];

  __device__ __forceinline__ T elem(int e) const {
    Bits bits;
    if constexpr (sizeof(T) <= sizeof(Word)) {
      bits = static_cast<Bits>(words[e / kPerWord] >> shift(e));
    } else {
      bits = words[2 * e] | static_cast<Bits>(words[2 * e + 1]) << 32;
    }
    return reinterpret_cast<const T&>(bits);
  }

  // Sets an element that has been zero bits so far.
  __device__ __forceinline__ void fill_in(int e, T value) {
    const Bits bits = reinterpret_cast<const Bits&>(value);
    if constexpr (sizeof(T) <= sizeof(Word)) {
      words[e / kPerWord] |= static_cast<Word>(static_cast<Word>(bits) << shift(e));
    } else {
      words[2 * e] = static_cast<Word>(bits);
      words[2 * e + 1] = static_cast<Word>(bits >> 32);
    }
  }

 private:
  using Bits = std::conditional_t<
      sizeof(T) == 8, uint64_t,
      std::conditional_t<sizeof(T) == 4, uint32_t, std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;
  static constexpr int kPerWord = sizeof(T) <= sizeof(Word) ? static_cast<int>(sizeof(Word) / sizeof(T)) : 1;
  __device__ static constexpr int shift(int e) { return e % kPerWord * 8 * static_cast<int>(sizeof(T)); }
};

template <typename T>
constexpr int kVecElems = Vec<T>::kElems;

// Whether the alignment of `pointer` allows accesses of `bytes` (a power of two).
inline bool is_aligned(const void* pointer, int64_t bytes = kVectorBytes) {
  return (reinterpret_cast<uintptr_t>(pointer) & static_cast<uintptr_t>(bytes - 1)) == 0;
}

// The vector V at p, which is aligned as V is.
template <typename V, typename T>
__device__ __forceinline__ V load_vec(const T* p) {
  V v;
  if constexpr (V::kBytes % kVectorBytes == 0) {
#pragma unroll
    for (int i = 0; i < V::kWords / 4; ++i) {
      const uint4 x = reinterpret_cast<const uint4*>(p)[i];
      v.words[4 * i] = x.x, v.words[4 * i + 1] = x.y, v.words[4 * i + 2] = x.z, v.words[4 * i + 3] = x.w;
    }
  } else if constexpr (V::kWords == 2) {
    const uint2 x = *reinterpret_cast<const uint2*>(p);
    v.words[0] = x.x, v.words[1] = x.y;
  } else {
    static_assert(V::kWords == 1, "vectors of 1, 2, 4, 8 or a multiple of 16 bytes");
    v.words[0] = *reinterpret_cast<const typename V::Word*>(p);
  }
  return v;
}

// The vector to global memory at p.
template <typename T, int kCount>
__device__ __forceinline__ void store_vec(T* p, const Vec<T, kCount>& v) {
  using V = Vec<T, kCount>;
  if constexpr (V::kBytes == 16) {
    ptx::store_16(p, v.words);
  } else if constexpr (V::kBytes == 8) {
    ptx::store_8(p, v.words);
  } else {
    static_assert(V::kWords == 1, "vectors of 1, 2, 4, 8 or 16 bytes");
    *reinterpret_cast<typename V::Word*>(p) = v.words[0];
  }
}

// The first `count` elements at p; the other elements are zero. `whole` says that count is kElems and p is aligned. It
// should be a compile-time constant.
template <typename T>
__device__ __forceinline__ Vec<T> load_vec(const T* p, int count, bool whole) {
  if (whole) return load_vec<Vec<T>>(p);
  Vec<T> v = {};
#pragma unroll
  for (int e = 0; e < Vec<T>::kElems; ++e) {
    if (e < count) v.fill_in(e, p[e]);
  }
  return v;
}

template <typename T, int kCount>
__device__ __forceinline__ void store_vec(T* p, const Vec<T, kCount>& v, int count, bool whole) {
  if (whole) return store_vec(p, v);
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (e < count) p[e] = v.elem(e);
  }
}

template <typename T, int kCount>
__device__ __forceinline__ void widen(const Vec<T, kCount>& v, Accumulator<T> (&x)[kCount]) {
#pragma unroll
  for (int e = 0; e < kCount; ++e) x[e] = widen(v.elem(e));
}

template <typename T, int kCount>
__device__ __forceinline__ Vec<T, kCount> narrow(const Accumulator<T> (&x)[kCount]) {
  Vec<T, kCount> v = {};
  if constexpr (sizeof(T) == 2 && kCount % 2 == 0) {
#pragma unroll
    for (int w = 0; w < kCount / 2; ++w) v.words[w] = narrow_pair<T>(x[2 * w], x[2 * w + 1]);
  } else {
#pragma unroll
    for (int e = 0; e < kCount; ++e) v.fill_in(e, narrow<T>(x[e]));
  }
  return v;
}

}  // namespace awq

// Sixteen-byte accesses: the widest a thread can make, and what it takes to keep memory busy with few instructions.
// Every access comes with a scalar form for addresses or row ends that do not allow it; both give the same values, so
// results do not depend on alignment.
#pragma once

#include <cstdint>

#include "csrc/common/convert.cuh"

namespace awq {

constexpr int kVectorBytes = 16;

// kCount elements of T that move as one access.
template <typename T, int kCount = kVectorBytes / static_cast<int>(sizeof(T))>
struct alignas(sizeof(T) * kCount) Vec {
  static constexpr int kElems = kCount;
  T elem[kCount];
};

template <typename T>
constexpr int kVecElems = Vec<T>::kElems;

// Whether `pointer` allows accesses of `bytes` (a power of two).
inline bool is_aligned(const void* pointer, int64_t bytes = kVectorBytes) {
  return (reinterpret_cast<uintptr_t>(pointer) & static_cast<uintptr_t>(bytes - 1)) == 0;
}

template <typename V, typename T>
__device__ __forceinline__ V load_vec(const T* p) {
  return *reinterpret_cast<const V*>(p);
}

template <typename V, typename T>
__device__ __forceinline__ void store_vec(T* p, const V& v) {
  *reinterpret_cast<V*>(p) = v;
}

// The first `count` elements at p, the others zero; `whole` says that count is kElems and p is aligned. `whole` must be
// the same for all threads of a warp, or both forms are executed.
template <typename T>
__device__ __forceinline__ Vec<T> load_vec(const T* p, int count, bool whole) {
  if (whole) return load_vec<Vec<T>>(p);
  Vec<T> v;
#pragma unroll
  for (int e = 0; e < Vec<T>::kElems; ++e) v.elem[e] = e < count ? p[e] : narrow<T>(0);
  return v;
}

template <typename T, int kCount>
__device__ __forceinline__ void store_vec(T* p, const Vec<T, kCount>& v, int count, bool whole) {
  if (whole) return store_vec(p, v);
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (e < count) p[e] = v.elem[e];
  }
}

template <typename T, int kCount>
__device__ __forceinline__ void widen(const Vec<T, kCount>& v, Accumulator<T> (&x)[kCount]) {
#pragma unroll
  for (int e = 0; e < kCount; ++e) x[e] = widen(v.elem[e]);
}

template <typename T, int kCount>
__device__ __forceinline__ Vec<T, kCount> narrow(const Accumulator<T> (&x)[kCount]) {
  Vec<T, kCount> v;
#pragma unroll
  for (int e = 0; e < kCount; ++e) v.elem[e] = narrow<T>(x[e]);
  return v;
}

}  // namespace awq

// The code that both engines share: the caches of one block and the running maximum.
#pragma once

#include <cstdint>

#include "csrc/common/convert.cuh"
#include "csrc/common/gpu.h"

namespace awq::attention {

// Elements of a 16-byte cache vector: x of the key cache's layout.
template <typename T>
constexpr int kCacheVectorElems = kChunkBytes / static_cast<int>(sizeof(T));

// One key-value head's caches and the slots of one block.
template <typename T>
struct CacheView {
  const T* k;         // [D/x, L, x]
  const T* v;         // [L, D]
  int64_t cache_len;  // L
  int end;            // first slot not to be read; at least 1
  int newest;         // slot of the current token

  // The slot to load. Slots past the end have probability zero. For them the last slot is loaded, so the load needs no
  // predicate.
  __device__ __forceinline__ int readable(int slot) const { return min(slot, end - 1); }

  // Position of a slot minus the current one: 0 for the newest, falling backwards around the circle.
  __device__ __forceinline__ float distance(int slot) const {
    const int ahead = slot - newest;
    return static_cast<float>(ahead <= 0 ? ahead : ahead - static_cast<int>(cache_len));
  }
};

// exp2(x - max) with the running maximum's start, minus infinity, giving 0 instead of NaN.
__device__ __forceinline__ float decay(float old_max, float new_max) {
  return old_max == -INFINITY ? 0.0f : exp2f(old_max - new_max);
}

}  // namespace awq::attention

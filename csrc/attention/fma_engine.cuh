// Attention of a warp over tiles of 32 cache slots with ordinary arithmetic: for fp32, and for every type before sm_80.
//
// Keys: a lane takes one slot. Its dot products need no other lane. 32 neighbouring slots are 512 contiguous bytes.
// Values: the lanes share the vectors of a slot and go from slot to slot. If a slot has at most 16 vectors, the warp
// takes several slots at a time and adds their sums at the end.
#pragma once

#include "csrc/attention/cache_view.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/reduce.cuh"

namespace awq::attention {

template <typename T, int kHeadDim, int kHeads>
class FmaEngine {
  static constexpr int power_of_two_from(int n) {
    int p = 1;
    while (p < n) p *= 2;
    return p;
  }

 public:
  // Blocks of four warps, as many as get by without spills: the output takes most of the registers.
  static constexpr int kMinBlocksPerSm = kHeadDim <= 128 && (kHeads == 4 || sizeof(T) == 4) ? 3 : 2;
  static constexpr int kTileSlots = kWarpSize;
  static constexpr int kX = kCacheVectorElems<T>;
  static constexpr int kVectors = kHeadDim / kX;                                                      // of a slot
  static constexpr int kSlotLanes = kVectors >= kWarpSize ? kWarpSize : power_of_two_from(kVectors);  // lanes per slot
  static constexpr int kLaneVectors = ceil_div(kVectors, kSlotLanes);
  static constexpr int kSlotsAtOnce = kWarpSize / kSlotLanes;
  // Loads in flight per lane; of keys a number that divides the vectors.
  static constexpr int kBatch = 8;
  static constexpr int kKeyBatch = kVectors % 8 == 0 ? 8 : kVectors % 4 == 0 ? 4 : 2;
  static_assert(kHeadDim % kX == 0 && kHeads % 4 == 0, "whole vectors; queries are read four heads at a time");

  static constexpr int kQueryPadding = kHeadDim;

  struct alignas(16) Shared {
    float q[kQueryPadding][kHeads];
  };

  struct Ring {};  // what is under way is in registers

  static __device__ __forceinline__ void store_token(Shared&, int, T, T) {}
  static __device__ __forceinline__ void store_query(Shared& shared, int head, int d, float value) {
    shared.q[d][head] = value;
  }

  __device__ __forceinline__ FmaEngine(const CacheView<T>& cache, Ring&, int lane, int tile_step)
      : cache_(cache), lane_(lane), tile_step_(tile_step) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      max_[h] = -INFINITY;
      sum_[h] = 0.0f;
      slope_[h] = 0.0f;
#pragma unroll
      for (int e = 0; e < kLaneVectors * kX; ++e) out_[h][e] = 0.0f;
    }
  }

  __device__ __forceinline__ void set_slopes(const float* slopes) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) slope_[h] = slopes[h];
  }

  // Loads the first keys of the warp's first tile before the token is staged. Does not load them if they belong to the
  // slot that is about to be written.
  __device__ __forceinline__ void start(int tile) {
    if (tile < cache_.end && !has_newest(tile)) load_keys(tile, 0);
  }
  __device__ __forceinline__ void token_is_staged(const Shared&, int tile) {
    if (tile < cache_.end && has_newest(tile)) load_keys(tile, 0);
  }

  __device__ __forceinline__ void score(const Shared& shared, int tile, float logit_scale) {
    float dot[kHeads] = {};
#pragma unroll 1
    for (int first = 0; first < kVectors; first += kKeyBatch) {
      if (first > 0) load_keys(tile, first);
#pragma unroll
      for (int i = 0; i < kKeyBatch; ++i) {
        const auto& k = reinterpret_cast<const T(&)[kX]>(k_[i]);
#pragma unroll
        for (int e = 0; e < kX; ++e) {
          const float key = widen(k[e]);
          const float* q = shared.q[(first + i) * kX + e];
#pragma unroll
          for (int h = 0; h < kHeads; h += 4) {
            const float4 q4 = *reinterpret_cast<const float4*>(q + h);
            dot[h] = fmaf(key, q4.x, dot[h]);
            dot[h + 1] = fmaf(key, q4.y, dot[h + 1]);
            dot[h + 2] = fmaf(key, q4.z, dot[h + 2]);
            dot[h + 3] = fmaf(key, q4.w, dot[h + 3]);
          }
        }
      }
    }
    const int slot = tile + lane_;
    const float distance = cache_.distance(slot);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float logit = fmaf(dot[h], logit_scale, slope_[h] * distance);
      p_[h] = slot < cache_.end ? logit : -INFINITY;
    }
    if (tile + tile_step_ < cache_.end) load_keys(tile + tile_step_, 0);  // ahead of the arithmetic on the values
  }

  __device__ __forceinline__ void accumulate(const Shared&, int tile) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float new_max = fmaxf(max_[h], max_over_lanes<1>(p_[h]));
      const float scale = decay(max_[h], new_max);
      max_[h] = new_max;
      p_[h] = exp2f(p_[h] - new_max);
      sum_[h] = fmaf(sum_[h], scale, p_[h]);
#pragma unroll
      for (int e = 0; e < kLaneVectors * kX; ++e) out_[h][e] *= scale;
    }

    const int own_slot = lane_ / kSlotLanes, own_vector = lane_ % kSlotLanes;
    constexpr int kSlotsPerBatch =
        kBatch / kLaneVectors < kTileSlots / kSlotsAtOnce ? kBatch / kLaneVectors : kTileSlots / kSlotsAtOnce;
    static_assert(kTileSlots % (kSlotsPerBatch * kSlotsAtOnce) == 0, "batches cover the tile and no more");
#pragma unroll 1
    for (int first = 0; first < kTileSlots; first += kSlotsPerBatch * kSlotsAtOnce) {
      uint4 v[kSlotsPerBatch][kLaneVectors];
#pragma unroll
      for (int i = 0; i < kSlotsPerBatch; ++i) {
        const int slot = cache_.readable(tile + first + i * kSlotsAtOnce + own_slot);
        const T* address = cache_.v + static_cast<int64_t>(slot) * kHeadDim;
#pragma unroll
        for (int n = 0; n < kLaneVectors; ++n) {
          // Lanes past the last vector repeat it; their output is not written.
          v[i][n] = ptx::load_once_16(address + min(own_vector + n * kSlotLanes, kVectors - 1) * kX);
        }
      }
#pragma unroll
      for (int i = 0; i < kSlotsPerBatch; ++i) {
        const int source = first + i * kSlotsAtOnce + own_slot;
#pragma unroll
        for (int h = 0; h < kHeads; ++h) {
          const float p = __shfl_sync(kAllLanes, p_[h], source);
#pragma unroll
          for (int n = 0; n < kLaneVectors; ++n) {
            const auto& value = reinterpret_cast<const T(&)[kX]>(v[i][n]);
#pragma unroll
            for (int e = 0; e < kX; ++e) out_[h][n * kX + e] = fmaf(p, widen(value[e]), out_[h][n * kX + e]);
          }
        }
      }
    }
  }

  __device__ __forceinline__ void finish(float* max, float* sum, float* out, int row_stride) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float total = sum_over_lanes<1>(sum_[h]);
      if (lane_ == 0) {
        max[h] = max_[h];
        sum[h] = total;
      }
#pragma unroll
      for (int n = 0; n < kLaneVectors; ++n) {
        const int vector = lane_ % kSlotLanes + n * kSlotLanes;
#pragma unroll
        for (int e = 0; e < kX; ++e) {
          const float x = sum_over_lanes<kSlotLanes>(out_[h][n * kX + e]);
          if (lane_ < kSlotLanes && vector < kVectors) out[h * row_stride + vector * kX + e] = x;
        }
      }
    }
  }

 private:
  __device__ __forceinline__ bool has_newest(int tile) const {
    return cache_.newest >= tile && cache_.newest < tile + kTileSlots;
  }

  __device__ __forceinline__ void load_keys(int tile, int first) {
    const int64_t vector_stride = cache_.cache_len * kX;
    const T* address = cache_.k + first * vector_stride + static_cast<int64_t>(cache_.readable(tile + lane_)) * kX;
#pragma unroll
    for (int i = 0; i < kKeyBatch; ++i) {
      k_[i] = ptx::load_once_16(address);
      address += vector_stride;
    }
  }

  const CacheView<T>& cache_;
  const int lane_, tile_step_;
  uint4 k_[kKeyBatch];
  float out_[kHeads][kLaneVectors * kX];
  float p_[kHeads];  // this lane's slot: logit, then probability
  float max_[kHeads], sum_[kHeads], slope_[kHeads];
};

}  // namespace awq::attention

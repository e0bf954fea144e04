// Attention of a warp over tiles of 16 cache slots on the tensor cores: 16-bit types, sm_80 and later.
//
// Both products are computed transposed, cache operand first, so that cache bytes go from global memory to the
// tensor cores without a stop in shared memory: the order of a product's inner dimension is free as long as both
// operands agree, and so is the order of the rows that end up in different registers.
//
//   logits [16 slots, 8 columns] = K [16 slots, D] * Q [D, 8 columns]
//     lane (row r = lane / 4, quad c = lane % 4) loads vector 4 i + c (8 elements) of slots r and r + 8: eight
//     neighbouring slots are 128 contiguous bytes. Its four words are the a-fragments of two steps of 16 elements.
//   out [D, 8 columns] += V [D, 16 slots] * P [16 slots, 8 columns]
//     lane (r, c) loads vector 8 i + r of slots 2c, 2c+1, 2c+8, 2c+9: 128 contiguous bytes of a slot. A byte permute
//     pairs neighbouring slots, as the fragment wants them.
//
// With up to four heads each takes a pair of columns: high and low half of q, and of the probability, which together
// carry nearly fp32's precision; the tensor cores have time to spare. With up to eight, each head has one column.
#pragma once

#include "csrc/attention/cache_view.cuh"
#include "csrc/attention/device_ops.cuh"
#include "csrc/common/mma.cuh"

namespace awq::attention {

template <typename T, int kHeadDim, int kHeads>
class MmaEngine {
 public:
  static_assert(sizeof(T) == 2 && kHeadDim % 16 == 0, "fragments are 16-bit, vectors come in pairs");
  static_assert(kHeads == 4 || kHeads == 8, "eight columns hold four pairs or eight heads");

  // Blocks of four warps: room for a tile of keys and one of values in flight next to the output, up to 168 registers,
  // above D = 128 up to 255. Four blocks of 128 registers were no faster.
  static constexpr int kMinBlocksPerSm = kHeadDim <= 128 ? 3 : 2;
  static constexpr int kTileSlots = 16;
  static constexpr int kColumns = 8;
  static constexpr int kVectors = kHeadDim / 8;           // of a slot
  static constexpr int kKeySteps = (kVectors + 3) / 4;    // four vectors each; D = 48, 80, 112 leave half of the last
  static constexpr int kValueSteps = (kVectors + 7) / 8;  // eight vectors each
  static constexpr bool kPaired = kHeads == 4;
  static constexpr int kLaneHeads = kPaired ? 1 : 2;  // heads whose logits a lane holds

  // Queries as b-fragments: [step][column][32 elements], so a lane's 16 bytes follow the lane number.
  struct alignas(16) Shared {
    T q[kKeySteps][kColumns][32];
  };

  static __device__ __forceinline__ void store_query(Shared& shared, int head, int d, float value) {
    const T high = narrow<T>(value);
    if constexpr (kPaired) {
      shared.q[d / 32][2 * head][d % 32] = high;
      shared.q[d / 32][2 * head + 1][d % 32] = narrow<T>(value - widen(high));
    } else {
      shared.q[d / 32][head][d % 32] = high;
    }
  }

  // Elements of the last step past D must be zero, as the keys there are: 0 * NaN is NaN.
  static constexpr int kQueryPadding = kKeySteps * 32;

  __device__ __forceinline__ MmaEngine(const CacheView<T>& cache, int lane)
      : cache_(cache), row_(lane / 4), quad_(lane % 4) {
#pragma unroll
    for (int j = 0; j < kLaneHeads; ++j) {
      max_[j] = -INFINITY;
      sum_[j] = 0.0f;
      slope_[j] = 0.0f;
    }
#pragma unroll
    for (int m = 0; m < kValueSteps * 4; ++m) {
#pragma unroll
      for (int e = 0; e < 4; ++e) out_[m][e] = 0.0f;
    }
  }

  __device__ __forceinline__ void set_slopes(const float* slopes) {  // [kHeads], times log2(e)
#pragma unroll
    for (int j = 0; j < kLaneHeads; ++j) slope_[j] = slopes[quad_ * kLaneHeads + j];
  }

  __device__ __forceinline__ void prefetch_keys(int tile) {
    const int64_t vector_stride = cache_.cache_len * 8;
    const T* lane_keys = cache_.k + quad_ * vector_stride;
    const T* address[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      address[half] = lane_keys + static_cast<int64_t>(cache_.readable(tile + row_ + 8 * half)) * 8;
    }
#pragma unroll
    for (int i = 0; i < kKeySteps; ++i) {
      // Of half a step quads 2 and 3 read what 0 and 1 do; score() clears it.
      const int64_t back = is_half_step(i) && quad_ >= 2 ? 2 * vector_stride : 0;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        k_[i][half] = load_cache_vector(address[half] - back);
        address[half] += 4 * vector_stride;
      }
    }
  }

  __device__ __forceinline__ void prefetch_values(int tile) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int slot = cache_.readable(tile + 2 * quad_ + (e & 1) + (e & 2) * 4);
      const T* address = cache_.v + static_cast<int64_t>(slot) * kHeadDim;
#pragma unroll
      for (int i = 0; i < kValueSteps; ++i) {
        // Rows past the last vector repeat it; their output is not written.
        v_[i][e] = load_cache_vector(address + min(8 * i + row_, kVectors - 1) * 8);
      }
    }
  }

  // Turns the fetched keys into logits, in units of log2.
  __device__ __forceinline__ void score(const Shared& shared, int tile, float logit_scale) {
    float c[2][4] = {};  // two chains, to halve the latency of dependent products
#pragma unroll
    for (int i = 0; i < kKeySteps; ++i) {
      const uint4 q = *reinterpret_cast<const uint4*>(&shared.q[i][row_][quad_ * 8]);
      uint4 k0 = k_[i][0], k1 = k_[i][1];
      if (is_half_step(i) && quad_ >= 2) k0 = k1 = uint4{};
      mma_m16n8k16<T>(c[0], {k0.x, k1.x, k0.y, k1.y}, q.x, q.y);
      mma_m16n8k16<T>(c[1], {k0.z, k1.z, k0.w, k1.w}, q.z, q.w);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int slot = tile + row_ + 8 * half;
      const float distance = cache_.distance(slot);
      const float even = c[0][2 * half] + c[1][2 * half], odd = c[0][2 * half + 1] + c[1][2 * half + 1];
#pragma unroll
      for (int j = 0; j < kLaneHeads; ++j) {
        const float dot = kPaired ? even + odd : (j == 0 ? even : odd);
        const float logit = fmaf(dot, logit_scale, slope_[j] * distance);
        logit_[j][half] = slot < cache_.end ? logit : -INFINITY;
      }
    }
  }

  // Folds the logits and the fetched values into maximum, sum and output.
  __device__ __forceinline__ void accumulate() {
    float p[kLaneHeads][2], scale[kLaneHeads];
#pragma unroll
    for (int j = 0; j < kLaneHeads; ++j) {
      const float new_max = fmaxf(max_[j], max_over_lanes<4>(fmaxf(logit_[j][0], logit_[j][1])));
      scale[j] = decay(max_[j], new_max);
      max_[j] = new_max;
      p[j][0] = exp2f(logit_[j][0] - new_max);
      p[j][1] = exp2f(logit_[j][1] - new_max);
      sum_[j] = fmaf(sum_[j], scale[j], p[j][0] + p[j][1]);
    }

    uint32_t probabilities[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const T first = narrow<T>(p[0][half]);
      const T second = kPaired ? narrow<T>(p[0][half] - widen(first)) : narrow<T>(p[kLaneHeads - 1][half]);
      probabilities[half] = transpose_8x8(bits(first) | bits(second) << 16);
    }

#pragma unroll
    for (int i = 0; i < kValueSteps; ++i) {
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        float (&c)[4] = out_[4 * i + w];
#pragma unroll
        for (int e = 0; e < 4; ++e) c[e] *= scale[kPaired ? 0 : e & 1];
        uint32_t a[4];
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
          const uint32_t x = word(v_[i][2 * pair], w), y = word(v_[i][2 * pair + 1], w);
          a[2 * pair] = __byte_perm(x, y, 0x5410);      // element 2w of both slots
          a[2 * pair + 1] = __byte_perm(x, y, 0x7632);  // element 2w + 1
        }
        mma_m16n8k16<T>(c, a, probabilities[0], probabilities[1]);
      }
    }
  }

  // Writes maximum, sum and unnormalized output of each head; `out` has rows of `row_stride` floats.
  __device__ __forceinline__ void finish(float* max, float* sum, float* out, int row_stride) {
#pragma unroll
    for (int j = 0; j < kLaneHeads; ++j) {
      const float total = sum_over_lanes<4>(sum_[j]);
      const int head = quad_ * kLaneHeads + j;
      if (row_ == 0) {
        max[head] = max_[j];
        sum[head] = total;
      }
#pragma unroll
      for (int i = 0; i < kValueSteps; ++i) {
        if (8 * i + row_ >= kVectors) break;
#pragma unroll
        for (int w = 0; w < 4; ++w) {
          const float (&c)[4] = out_[4 * i + w];
          const float2 pair = kPaired ? float2{c[0] + c[1], c[2] + c[3]} : float2{c[j], c[2 + j]};
          *reinterpret_cast<float2*>(&out[head * row_stride + (8 * i + row_) * 8 + 2 * w]) = pair;
        }
      }
    }
  }

 private:
  static constexpr __host__ __device__ bool is_half_step(int i) { return kVectors % 4 != 0 && i == kKeySteps - 1; }
  static __device__ __forceinline__ uint32_t word(const uint4& v, int w) {
    return w == 0 ? v.x : w == 1 ? v.y : w == 2 ? v.z : v.w;
  }
  static __device__ __forceinline__ uint32_t bits(T x) {
    static_assert(sizeof(T) == 2, "16-bit element");
    return *reinterpret_cast<const uint16_t*>(&x);
  }

  const CacheView<T>& cache_;
  const int row_, quad_;
  uint4 k_[kKeySteps][2];
  uint4 v_[kValueSteps][4];
  float out_[kValueSteps * 4]
            [4];  // [8 elements of a vector in pairs][c-fragment]: elements 2w and 2w + 1 of vector 8 i + row
  float logit_[kLaneHeads][2];
  float max_[kLaneHeads], sum_[kLaneHeads], slope_[kLaneHeads];
};

}  // namespace awq::attention

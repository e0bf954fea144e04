// Attention of a warp over tiles of 16 cache slots on the tensor cores: for 16-bit types, sm_80 and later.
//
// Each warp has its own ring in shared memory. Its tiles pass through the ring by asynchronous copies, keys and values
// in turn. Copies in flight need no registers and no barrier of the block.
//
// Both products are transposed, with the cache as the first operand. The inner dimension of a product may have any
// order, if both operands have the same. The rows that end in different registers may have any order too. Lanes can
// therefore read whole 16-byte vectors.
//
//   logits [16 slots, 8 columns] = K [16 slots, D] * Q [D, 8 columns]
//     lane (row r = lane / 4, quad c = lane % 4) reads vector 4 i + c (8 elements) of slots r and r + 8. Its four words
//     are the a-fragments of two steps of 16 elements.
//   out [D, 8 columns] += V [D, 16 slots] * P [16 slots, 8 columns]
//     lane (r, c) reads vector 8 i + r of slots 2c, 2c+1, 2c+8, 2c+9. A byte permute pairs neighbouring slots, as the
//     fragment wants them.
//
// With up to four heads each takes a pair of columns: high and low half of q, and of the probability, which together
// carry nearly fp32's precision; the tensor cores have time to spare. With up to eight, each head has one column.
#pragma once

#include "csrc/attention/cache_view.cuh"
#include "csrc/common/mma.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/common/reduce.cuh"

namespace awq::attention {

template <typename T, int kHeadDim, int kHeads>
class MmaEngine {
 public:
  static_assert(sizeof(T) == 2 && kHeadDim % 16 == 0, "fragments are 16-bit, vectors come in pairs");
  static_assert(kHeads == 4 || kHeads == 8, "eight columns hold four pairs or eight heads");

  // Blocks per multiprocessor that the ring leaves room for on sm_90. Their bytes under way, 128 KiB, are several times
  // what the memory's latency asks for.
  static constexpr int kMinBlocksPerSm = 2;
  static constexpr int kTileSlots = 16;
  static constexpr int kColumns = 8;
  static constexpr int kVectors = kHeadDim / 8;            // of a slot
  static constexpr int kKeySteps = ceil_div(kVectors, 4);  // four vectors each; D = 48, 80, 112 leave half of the last
  static constexpr int kValueSteps = ceil_div(kVectors, 8);  // eight vectors each
  static constexpr bool kPaired = kHeads == 4;
  static constexpr int kLaneHeads = kPaired ? 1 : 2;  // heads whose logits a lane holds

  // An item of the ring is a tile's keys or its values. Keys: [vector][slot]; values: [slot][vector], with rows of a
  // multiple of eight vectors. Vectors of 16 bytes are permuted within 128 bytes, see key_place() and value_place().
  static constexpr int kRowVectors = round_up(kVectors, 8);
  static constexpr int kItemVectors = kTileSlots * kRowVectors;
  static constexpr int kItems = kHeadDim <= 64 ? 8 : kHeadDim <= 128 ? 5 : 3;
  struct alignas(16) Ring {
    uint4 item[kItems][kItemVectors];
  };

  // Queries as b-fragments: [step][column][32 elements], so a lane's 16 bytes follow the lane number. And the token's
  // own key and value, which the caches may not hold yet when their slot is copied.
  struct alignas(16) Shared {
    T q[kKeySteps][kColumns][32];
    T new_key[kHeadDim], new_value[kHeadDim];
  };

  static __device__ __forceinline__ void store_token(Shared& shared, int d, T key, T value) {
    shared.new_key[d] = key;
    shared.new_value[d] = value;
  }

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

  __device__ __forceinline__ MmaEngine(const CacheView<T>& cache, Ring& ring, int lane, int tile_step)
      : cache_(cache), ring_(ring), lane_(lane), row_(lane / 4), quad_(lane % 4), tile_step_(tile_step) {
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

  // Fills the ring from the warp's first tile on. The token need not be staged.
  __device__ __forceinline__ void start(int tile) {
    next_tile_ = tile;
    keys_from_ =
        cache_.k + lane_ / kTileSlots * cache_.cache_len * 8 + static_cast<int64_t>(tile + lane_ % kTileSlots) * 8;
    values_from_ = cache_.v + static_cast<int64_t>(tile) * kHeadDim + lane_ * 8;
#pragma unroll
    for (int item = 0; item < kItems - 1; ++item) copy_next(item, item % 2 == 0);
    free_item_ = kItems - 1;
  }
  __device__ __forceinline__ void token_is_staged(const Shared& shared, int) {
#pragma unroll
    for (int i = 0; i < kKeySteps; ++i) q_[i] = *reinterpret_cast<const uint4*>(&shared.q[i][row_][quad_ * 8]);
  }

  // Turns the next tile's keys into logits, in units of log2.
  __device__ __forceinline__ void score(const Shared& shared, int tile, float logit_scale) {
    uint4* const keys = next_item(/*keys=*/true);
    if (cache_.newest >= tile && cache_.newest < tile + kTileSlots) {
      patch(shared.new_key, [&](int vector) { return keys + key_place(vector, cache_.newest - tile); });
    }
    float c[2][4] = {};  // two chains, to halve the latency of dependent products
#pragma unroll
    for (int i = 0; i < kKeySteps; ++i) {
      const uint4 q = q_[i];
      // Of half a step quads 2 and 3 have no vectors: they read what 0 and 1 do and clear it.
      const bool exists = !is_half_step(i) || quad_ < 2;
      const uint4* const k = keys + key_place(exists ? 4 * i + quad_ : 4 * i + quad_ - 2, row_);
      uint4 k0 = k[0], k1 = k[8];
      if (!exists) k0 = k1 = uint4{};
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

  // Folds the logits and the tile's values into maximum, sum and output.
  __device__ __forceinline__ void accumulate(const Shared& shared, int tile) {
    uint4* const values = next_item(/*keys=*/false);
    if (cache_.newest >= tile && cache_.newest < tile + kTileSlots) {
      patch(shared.new_value, [&](int vector) { return values + value_place(cache_.newest - tile, vector); });
    }
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

    rescale(scale);

    uint32_t probabilities[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const T first = narrow<T>(p[0][half]);
      const T second = kPaired ? narrow<T>(p[0][half] - widen(first)) : narrow<T>(p[kLaneHeads - 1][half]);
      probabilities[half] = ptx::transpose_8x8(bits(first) | bits(second) << 16);
    }

#pragma unroll
    for (int i = 0; i < kValueSteps; ++i) {
      // Rows past the last vector repeat it; their output is not written.
      const int vector = min(8 * i + row_, kVectors - 1);
      uint4 v[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) v[e] = values[value_place(2 * quad_ + (e & 1) + (e & 2) * 4, vector)];
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        float (&c)[4] = out_[4 * i + w];
        uint32_t a[4];
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
          const uint32_t x = word(v[2 * pair], w), y = word(v[2 * pair + 1], w);
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
  // Reading, eight lanes at a time meet two rows and four quads: slots (keys) or vectors (values) r and r + 1, and what
  // differs by quad lies a multiple of 128 bytes apart. Exclusive or with twice the quad gives each a bank group.
  static __device__ __forceinline__ int key_place(int vector, int slot) {
    return vector * kTileSlots + (slot ^ 2 * (vector % 4));
  }
  static __device__ __forceinline__ int value_place(int slot, int vector) {
    return slot * kRowVectors + (vector ^ 2 * (slot / 2 % 4));
  }

  // Starts the copies of the keys or values of `next_tile_`, if it exists, to an item of the ring; a group of their own
  // even if empty. Slots past the end become zeros: they count with probability zero, and 0 * NaN would be NaN.
  __device__ __forceinline__ void copy_next(int item, bool keys) {
    if (next_tile_ < cache_.end) {
      uint4* const to = ring_.item[item];
      if (next_tile_ + kTileSlots <= cache_.end) {
        keys ? copy_keys(to, [](int) { return true; }) : copy_values(to, [](int) { return true; });
      } else {
        const auto exists = [&](int slot) { return next_tile_ + slot < cache_.end; };
        keys ? copy_keys(to, exists) : copy_values(to, exists);
      }
      if (!keys) next_tile_ += tile_step_;
    }
    ptx::cp_async_commit();
  }

  // Two vectors of 16 slots at a time.
  template <typename Exists>
  __device__ __forceinline__ void copy_keys(uint4* to, Exists&& exists) {
    const int slot = lane_ % kTileSlots, first = lane_ / kTileSlots;
    const T* from = keys_from_;
#pragma unroll
    for (int i = 0; i < kVectors / 2; ++i, from += cache_.cache_len * 16) {
      ptx::cp_async_16(to + key_place(first + 2 * i, slot), from, exists(slot), policy_);
    }
    keys_from_ += tile_step_ * 8;
  }

  // A tile's values follow each other in memory.
  template <typename Exists>
  __device__ __forceinline__ void copy_values(uint4* to, Exists&& exists) {
#pragma unroll
    for (int i = 0; i < kVectors / 2; ++i) {
      const int n = lane_ + kWarpSize * i, slot = n / kVectors;
      ptx::cp_async_16(to + value_place(slot, n % kVectors), values_from_ + kWarpSize * i * 8, exists(slot), policy_);
    }
    values_from_ += tile_step_ * kHeadDim;
  }

  // Brings the output to the new maximum; after a few tiles that is rarely another one.
  __device__ __forceinline__ void rescale(const float (&scale)[kLaneHeads]) {
    const bool changed = scale[0] != 1.0f || scale[kLaneHeads - 1] != 1.0f;
    if (!__any_sync(kAllLanes, changed)) return;
#pragma unroll
    for (auto& c : out_) {
#pragma unroll
      for (int e = 0; e < 4; ++e) c[e] *= scale[kPaired ? 0 : e & 1];
    }
  }

  // Waits for the oldest item and starts the copy that is kItems - 1 items ahead of it, into the place that was read
  // last.
  __device__ __forceinline__ uint4* next_item(bool keys) {
    ptx::cp_async_wait<kItems - 2>();
    __syncwarp();
    copy_next(free_item_, (kItems % 2 == 0) != keys);
    uint4* const item = ring_.item[free_item_ + 1 < kItems ? free_item_ + 1 : 0];
    free_item_ = free_item_ + 1 < kItems ? free_item_ + 1 : 0;
    return item;
  }

  // Puts the token's own key or value in the place of what was copied from its slot.
  template <typename Place>
  __device__ __forceinline__ void patch(const T* token, Place&& place) {
    for (int vector = lane_; vector < kVectors; vector += kWarpSize) {
      *place(vector) = reinterpret_cast<const uint4*>(token)[vector];
    }
    __syncwarp();
  }

  static constexpr __host__ __device__ bool is_half_step(int i) { return kVectors % 4 != 0 && i == kKeySteps - 1; }
  static __device__ __forceinline__ uint32_t word(const uint4& v, int w) {
    return w == 0 ? v.x : w == 1 ? v.y : w == 2 ? v.z : v.w;
  }
  static __device__ __forceinline__ uint32_t bits(T x) {
    static_assert(sizeof(T) == 2, "16-bit element");
    return *reinterpret_cast<const uint16_t*>(&x);
  }

  const CacheView<T>& cache_;
  Ring& ring_;
  const int lane_, row_, quad_, tile_step_;
  const uint64_t policy_ = ptx::evict_first_policy();
  int next_tile_ = 0, free_item_ = 0;
  const T* keys_from_ = nullptr;  // this lane's first vectors of the next tile
  const T* values_from_ = nullptr;
  uint4 q_[kKeySteps];
  float out_[kValueSteps * 4][4];  // c-fragments, 4i + w of elements 2w and 2w + 1 of vector 8i + row
  float logit_[kLaneHeads][2];
  float max_[kLaneHeads], sum_[kLaneHeads], slope_[kLaneHeads];
};

}  // namespace awq::attention

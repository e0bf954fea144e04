// The position of the weights of a run, and the conversion of a 32-bit word of eight weights into operands of an mma.
//
// Order along K. A product sums over K. The operands may have K in any order, as long as both have the same. Lane 4g +
// c of a warp dequantizes whole words. A word gives the operand pairs of two mma steps of 16 columns. The fragments of
// the activations follow this order: x_fragment() of the layout gives the pairs of activations that match the pairs of
// a word.
#pragma once

#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>

#include "csrc/common/convert.cuh"
#include "csrc/common/ptx.cuh"
#include "csrc/w4a16/args.h"

namespace awq::w4a16 {

// Registers of a warp's operands hold two elements; the arithmetic on them, by type.
//
// A word holds four pairs of weights: pair i in the nibbles i of its upper and lower half.
//   unpack(word, i)         the two integers, exactly
//   unpack_scaled(word, i)  the integers divided by kIntegerScale, and multiplied by 1 / kOddPairScale if i is odd:
//                           cheaper, for users who scale the products
template <class T>
struct Pair;

template <>
struct Pair<__half> {
  static __device__ __forceinline__ __half2 of(uint32_t bits) { return *reinterpret_cast<const __half2*>(&bits); }
  static __device__ __forceinline__ uint32_t bits(__half2 pair) { return *reinterpret_cast<const uint32_t*>(&pair); }
  static __device__ __forceinline__ uint32_t add(uint32_t a, uint32_t b) { return bits(__hadd2(of(a), of(b))); }
  static __device__ __forceinline__ uint32_t sub(uint32_t a, uint32_t b) { return bits(__hsub2(of(a), of(b))); }
  static __device__ __forceinline__ uint32_t mul(uint32_t a, uint32_t b) { return bits(__hmul2(of(a), of(b))); }
  static __device__ __forceinline__ uint32_t fma(uint32_t a, uint32_t b, uint32_t c) {
    return bits(__hfma2(of(a), of(b), of(c)));
  }
  static constexpr uint32_t kOnes = 0x3c00'3c00;  // 1, twice

  // fp16 with exponent field e and mantissa field f is 2^(e - 15) * (1 + f / 1024). With e = 25 that is 1024 + f: an
  // integer below 1024 put into the low bits of 1024 is read as 1024 plus itself, so that a subtraction leaves it.
  static constexpr uint32_t kMagic = 0x6400'6400;           // 1024, twice
  static constexpr uint32_t kSixteenth = 0x2c00'2c00;       // 1 / 16, twice
  static constexpr uint32_t kMagicSixteenth = 0xd400'd400;  // -1024 / 16, twice
  static_assert((kMagic & 0xffff) == (15 + 10) << 10, "2^10, so that the last mantissa bit counts 1");
  static_assert((kSixteenth & 0xffff) == (15 - 4) << 10, "2^-4");
  static_assert((kMagicSixteenth & 0xffff) == (1 << 15 | (15 + 6) << 10), "-2^6");

  // Odd pairs stay in place and read as 1024 + 16 q, which saves their shifts.
  static __device__ __forceinline__ uint32_t unpack(uint32_t word, int i) {
    const uint32_t shifted = word >> (i / 2 * 8);
    return i % 2 == 0 ? sub(ptx::and_or(shifted, 0x000f'000f, kMagic), kMagic)
                      : fma(ptx::and_or(shifted, 0x00f0'00f0, kMagic), kSixteenth, kMagicSixteenth);
  }

  // The same minus a zero point given as 1024 + zero point; all values are integers up to 1039, so nothing is rounded.
  static __device__ __forceinline__ uint32_t unpack_minus(uint32_t word, int i, uint32_t zero) {
    constexpr uint32_t kMagicMinusSixteenth = 0x6380'6380;  // 1024 - 64 = 960 = 1.875 * 2^9, twice
    static_assert((kMagicMinusSixteenth & 0xffff) == ((15 + 9) << 10 | 0x380), "960: 0.875 * 1024 = 0x380");
    const uint32_t shifted = word >> (i / 2 * 8);
    return i % 2 == 0 ? sub(ptx::and_or(shifted, 0x000f'000f, kMagic), zero)
                      : fma(ptx::and_or(shifted, 0x00f0'00f0, kMagic), kSixteenth, sub(kMagicMinusSixteenth, zero));
  }

  // With e = 0 the value is f * 2^-24, which the tensor cores multiply like any other: a nibble needs only to be cut
  // out. An odd pair's come out sixteen times as large.
  static constexpr float kIntegerScale = 1 << 24;
  static constexpr float kOddPairScale = 1.f / 16;
  static __device__ __forceinline__ uint32_t unpack_scaled(uint32_t word, int i) {
    return word >> (i / 2 * 8) & (i % 2 == 0 ? 0x000f'000f : 0x00f0'00f0);
  }
};

#if AWQ_ENABLE_BF16
template <>
struct Pair<__nv_bfloat16> {
  static __device__ __forceinline__ uint32_t fma(uint32_t a, uint32_t b, uint32_t c) {
#if __CUDA_ARCH__ >= 800
    const __nv_bfloat162 sum =
        __hfma2(*reinterpret_cast<const __nv_bfloat162*>(&a), *reinterpret_cast<const __nv_bfloat162*>(&b),
                *reinterpret_cast<const __nv_bfloat162*>(&c));
    return *reinterpret_cast<const uint32_t*>(&sum);
#else
    return 0;  // launch functions refuse bfloat16 below sm_80
#endif
  }
  static constexpr uint32_t kOnes = 0x3f80'3f80;  // 1, twice

  // As for fp16, with 7 mantissa bits: 128 + f. 16 q would reach into the exponent, so each nibble is shifted.
  static constexpr uint32_t kMagic = 0x4300'4300;  // 128, twice
  static constexpr uint32_t kMinusMagic = 0xc300'c300;
  static_assert((kMagic & 0xffff) == (127 + 7) << 7, "2^7, so that the last mantissa bit counts 1");
  static_assert(kMinusMagic == (kMagic | 0x8000'8000), "the same, negative");
  static_assert((kOnes & 0xffff) == 127 << 7, "2^0");

  static __device__ __forceinline__ uint32_t unpack(uint32_t word, int i) {
    return fma(ptx::and_or(word >> (4 * i), 0x000f'000f, kMagic), kOnes, kMinusMagic);
  }

  // No shortcut here: the products of subnormal bfloat16 would be subnormal in fp32, too, and lose digits.
  static constexpr float kIntegerScale = 1;
  static constexpr float kOddPairScale = 1;
  static __device__ __forceinline__ uint32_t unpack_scaled(uint32_t word, int i) { return unpack(word, i); }
};
#endif

// Integers for products that are scaled afterwards. unpack_scaled() of Pair makes them. unpack_alike() makes them where
// registers are short: it takes one more shift, but scales all pairs alike, so their products add up in one set of
// sums. The integers are too large by kOffset. The sums of activations correct this.
template <class T>
struct Integers : Pair<T> {
  static constexpr float kOffset = 0;
  static constexpr float kAlikeScale = Pair<T>::kIntegerScale * Pair<T>::kOddPairScale;
  static __device__ __forceinline__ uint32_t unpack_alike(uint32_t word, int i) {
    return (i == 0 ? word << 4 : word >> (4 * i - 4)) & 0x00f0'00f0;
  }
};
#if AWQ_ENABLE_BF16
// The 128 stays in the products, which saves a multiply-add per pair. It makes their sums some 16 times as large and so
// costs 4 of the 24 bits that fp32 has for them.
template <>
struct Integers<__nv_bfloat16> : Pair<__nv_bfloat16> {
  static constexpr float kOffset = 128;
  static constexpr float kAlikeScale = 1;
  static __device__ __forceinline__ uint32_t unpack_scaled(uint32_t word, int i) {
    return ptx::and_or(word >> (4 * i), 0x000f'000f, kMagic);
  }
  static __device__ __forceinline__ uint32_t unpack_alike(uint32_t word, int i) { return unpack_scaled(word, i); }
};
#endif

// Both halves of a register set to its lower or upper one.
__device__ __forceinline__ uint32_t broadcast_half(uint32_t pair, int half) {
  return __byte_perm(pair, 0, half == 0 ? 0x1010 : 0x3232);
}

// Scale and zero of a channel in one group, as the layout encodes them; and of four neighbouring channels, lowest
// first.
struct ChannelScale {
  uint16_t scale, zero;
};
struct FourScales {
  uint2 scale, zero;
};

// w = scale * q + offset in fp32.
struct Affine {
  float scale, offset;
};

// The group of a step that lies in one, without a division. The reciprocal, 2^31 / (steps of a group) rounded up, is
// too large by less than 1: too little to show as long as step * (steps of a group) < 2^31.
inline uint32_t group_reciprocal(const Args& args) {
  const int64_t steps_per_group = std::max(args.runs_per_group / 4, 1);
  return static_cast<uint32_t>(ceil_div(int64_t{1} << 31, steps_per_group));
}
__device__ __forceinline__ uint32_t group_of(uint32_t reciprocal, uint32_t step) {
  return __umulhi(2 * step, reciprocal);
}

struct LayoutV2 {
  // Channels, runs and k are below 2^31: unsigned 32-bit numbers spare a kernel's start the signed 64-bit divisions.
  static __device__ __forceinline__ const uint8_t* run_pointer(const Args& args, uint32_t channel, uint32_t run) {
    const uint32_t lines_per_row = static_cast<uint32_t>(args.k) / 64;
    const uint64_t line = static_cast<uint64_t>(channel / 4) * lines_per_row + run / 2;
    return static_cast<const uint8_t*>(args.weights) + line * 128 + (channel % 4 * 32 + run % 2 * 16);
  }
  // From one run to the run `runs`, an even number, further on.
  static __device__ __forceinline__ int64_t run_distance_bytes(int runs) { return runs / 2 * 128; }

  static __device__ __forceinline__ ChannelScale load_scale(const Args& args, int64_t channel, int64_t group) {
    const int64_t offset = group * args.scales_row_stride_elems + channel;
    return {__ldg(static_cast<const uint16_t*>(args.scales) + offset),
            __ldg(static_cast<const uint16_t*>(args.zeros) + offset)};
  }

  // `channel` is a multiple of 4, as is n: the four channels exist together and their scales are 8-byte aligned.
  static __device__ __forceinline__ FourScales load_scales(const Args& args, int64_t channel, int64_t group) {
    const int64_t offset = group * args.scales_row_stride_elems + channel;
    return {__ldg(reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(args.scales) + offset)),
            __ldg(reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(args.zeros) + offset))};
  }

  template <class T>
  static __device__ __forceinline__ Affine affine(ChannelScale s) {
    return {widen_bits<T>(s.scale), widen_bits<T>(s.zero)};
  }

  // The weights of pair i: q * scale + zero, rounded once. `scale` and `zero` are broadcast.
  template <class T>
  static __device__ __forceinline__ uint32_t dequantize(uint32_t word, int i, uint32_t scale, uint32_t zero) {
    return Pair<T>::fma(Pair<T>::unpack(word, i), scale, zero);
  }

  // What faces pair i of words j and j + 1, given a run's activations in four chunks of 8: pair i of word j stands for
  // columns 8i + 2j and 8i + 2j + 1, register j of chunk i.
  static __device__ __forceinline__ uint2 x_fragment(const uint32_t (&x)[4][4], int i, int j) {
    return {x[i][j], x[i][j + 1]};
  }

  // A run's products in two halves of four, each of which needs two of the run's chunks: product n of half h takes pair
  // product_pair() of words product_word() and the next one, which face product_fragment() of chunks 2h and 2h + 1.
  static constexpr __device__ int product_pair(int h, int n) { return 2 * h + n / 2; }
  static constexpr __device__ int product_word(int, int n) { return n % 2 * 2; }
  static __device__ __forceinline__ uint2 product_fragment(const uint32_t (&chunks)[2][4], int n) {
    return {chunks[n / 2][n % 2 * 2], chunks[n / 2][n % 2 * 2 + 1]};
  }

  // What faces the four pairs of word c, for lane 4g + c. `rows` are eight 128-byte rows of activations in shared
  // memory whose 16-byte chunks are permuted by exclusive or with the row; `run` is 0 or 1.
  static __device__ __forceinline__ void load_x_fragments(uint32_t (&b)[4], const uint8_t* rows, int run) {
    const int lane = threadIdx.x % 32, row = lane % 8, chunk = 4 * run + lane / 8;
    ptx::ldmatrix_x4(b, ptx::smem_address(rows + row * 128 + (chunk ^ row) * 16));
  }
};

// Zeros are encoded as fp16 1024 + zero point.
struct LayoutV1 {
  static __device__ __forceinline__ const uint8_t* run_pointer(const Args& args, uint32_t channel, uint32_t run) {
    return static_cast<const uint8_t*>(args.weights) +
           static_cast<uint64_t>(channel) * (static_cast<uint32_t>(args.k) / 2) + run * uint64_t{kRunBytes};
  }
  static __device__ __forceinline__ int64_t run_distance_bytes(int runs) { return runs * kRunBytes; }

  static __device__ __forceinline__ ChannelScale load_scale(const Args& args, int64_t channel, int64_t group) {
    const uint32_t word =
        __ldg(static_cast<const uint32_t*>(args.zeros) + channel * args.zeros_row_stride_elems + group / 8);
    const uint32_t zero = (word >> (group % 8 * 4) & 0xf) | (Pair<__half>::kMagic & 0xffff);
    return {__ldg(static_cast<const uint16_t*>(args.scales) + channel * args.scales_row_stride_elems + group),
            static_cast<uint16_t>(zero)};
  }

  static __device__ __forceinline__ FourScales load_scales(const Args& args, int64_t channel, int64_t group) {
    uint32_t scale[4], zero[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const ChannelScale s = load_scale(args, channel + i, group);
      scale[i] = s.scale, zero[i] = s.zero;
    }
    return {{scale[0] | scale[1] << 16, scale[2] | scale[3] << 16}, {zero[0] | zero[1] << 16, zero[2] | zero[3] << 16}};
  }

  template <class T>
  static __device__ __forceinline__ Affine affine(ChannelScale s) {
    const float scale = widen_bits<T>(s.scale);
    return {scale, -scale * (widen_bits<T>(s.zero) - 1024)};
  }

  // (q - zero_point) * scale, rounded once.
  template <class T>
  static __device__ __forceinline__ uint32_t dequantize(uint32_t word, int i, uint32_t scale, uint32_t zero) {
    return Pair<T>::mul(Pair<T>::unpack_minus(word, i, zero), scale);
  }

  // Pair i of word j stands for columns 8j + i and 8j + i + 4: of chunk j, one half each of registers i / 2 and
  // i / 2 + 2.
  static __device__ __forceinline__ uint2 x_fragment(const uint32_t (&x)[4][4], int i, int j) {
    return {facing_pair(x[j], i), facing_pair(x[j + 1], i)};
  }

  static constexpr __device__ int product_pair(int, int n) { return n; }
  static constexpr __device__ int product_word(int h, int) { return 2 * h; }
  static __device__ __forceinline__ uint2 product_fragment(const uint32_t (&chunks)[2][4], int n) {
    return {facing_pair(chunks[0], n), facing_pair(chunks[1], n)};
  }

  // Word c of a run stands for its columns 8c .. 8c + 7: lane c takes one chunk.
  static __device__ __forceinline__ void load_x_fragments(uint32_t (&b)[4], const uint8_t* rows, int run) {
    const int lane = threadIdx.x % 32, row = lane / 4, chunk = 4 * run + lane % 4;
    const uint4 x = *reinterpret_cast<const uint4*>(rows + row * 128 + (chunk ^ row) * 16);
    const uint32_t columns[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) b[i] = facing_pair(columns, i);
  }

 private:
  static __device__ __forceinline__ uint32_t facing_pair(const uint32_t (&chunk)[4], int i) {
    return __byte_perm(chunk[i / 2], chunk[i / 2 + 2], i % 2 == 0 ? 0x5410 : 0x7632);
  }
};

}  // namespace awq::w4a16

// Where the weights of a run lie, and how a 32-bit word of eight of them becomes operands of an mma.
//
// Order along K. A product sums over K, so the operands may take K in any order as long as both take the same one. Lane
// 4g + c of a warp dequantizes whole words, and a word gives the operand pairs of two mma steps of 16 columns; the
// activations' fragments follow: x_fragment() of the layout tells which pairs of the activations face a word's pairs.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "csrc/common/dtype.h"
#include "csrc/common/ptx.cuh"
#include "csrc/w4a16/args.h"
#if AWQ_ENABLE_BF16
#include <cuda_bf16.h>
#endif

namespace awq::w4a16 {

// Registers of a warp's operands hold two elements; the arithmetic on them, by type.
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
  static __device__ __forceinline__ uint32_t narrow(float low, float high) {
    return bits(__floats2half2_rn(low, high));
  }

  // fp16 with exponent field e and mantissa field f is 2^(e - 15) * (1 + f / 1024). With e = 25 that is 1024 + f: an
  // integer below 1024 put into the low bits of 1024 is read as 1024 plus itself, so that a subtraction leaves it.
  static constexpr uint32_t kMagic = 0x6400'6400;           // 1024, twice
  static constexpr uint32_t kSixteenth = 0x2c00'2c00;       // 1 / 16, twice
  static constexpr uint32_t kMagicSixteenth = 0xd400'd400;  // -1024 / 16, twice
  static_assert((kMagic & 0xffff) == (15 + 10) << 10, "2^10, so that the last mantissa bit counts 1");
  static_assert((kSixteenth & 0xffff) == (15 - 4) << 10, "2^-4");
  static_assert((kMagicSixteenth & 0xffff) == (1 << 15 | (15 + 6) << 10), "-2^6");

  // The nibbles 2 * half and 2 * half + 1 of both 16-bit halves of `word`, exactly.
  static __device__ __forceinline__ void unpack(uint32_t word, int half, uint32_t (&q)[2]) {
    const uint32_t shifted = half == 0 ? word : word >> 8;
    q[0] = sub(ptx::and_or(shifted, 0x000f'000f, kMagic), kMagic);
    // The second nibble stays in place and reads as 1024 + 16 q, which saves its shift.
    q[1] = fma(ptx::and_or(shifted, 0x00f0'00f0, kMagic), kSixteenth, kMagicSixteenth);
  }

  // The same minus a zero point given as 1024 + zero point; all values are integers up to 1039, so nothing is rounded.
  static __device__ __forceinline__ void unpack_minus(uint32_t word, int half, uint32_t zero, uint32_t (&q)[2]) {
    constexpr uint32_t kMagicMinusSixteenth = 0x6380'6380;  // 1024 - 64 = 960 = 1.875 * 2^9, twice
    static_assert((kMagicMinusSixteenth & 0xffff) == ((15 + 9) << 10 | 0x380), "960: 0.875 * 1024 = 0x380");
    const uint32_t shifted = half == 0 ? word : word >> 8;
    q[0] = sub(ptx::and_or(shifted, 0x000f'000f, kMagic), zero);
    q[1] = fma(ptx::and_or(shifted, 0x00f0'00f0, kMagic), kSixteenth, sub(kMagicMinusSixteenth, zero));
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
  static __device__ __forceinline__ uint32_t narrow(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }

  // As for fp16, with 7 mantissa bits: 128 + f. 16 q would reach into the exponent, so each nibble is shifted.
  static constexpr uint32_t kMagic = 0x4300'4300;     // 128, twice
  static constexpr uint32_t kMinusMagic = 0xc300'c300;
  static constexpr uint32_t kOne = 0x3f80'3f80;
  static_assert((kMagic & 0xffff) == (127 + 7) << 7, "2^7, so that the last mantissa bit counts 1");
  static_assert(kMinusMagic == (kMagic | 0x8000'8000), "the same, negative");
  static_assert((kOne & 0xffff) == 127 << 7, "2^0");

  static __device__ __forceinline__ void unpack(uint32_t word, int half, uint32_t (&q)[2]) {
    q[0] = fma(ptx::and_or(word >> (8 * half), 0x000f'000f, kMagic), kOne, kMinusMagic);
    q[1] = fma(ptx::and_or(word >> (8 * half + 4), 0x000f'000f, kMagic), kOne, kMinusMagic);
  }
};
#endif

// Both halves of a register set to its lower or upper one.
__device__ __forceinline__ uint32_t broadcast_half(uint32_t pair, int half) {
  return __byte_perm(pair, 0, half == 0 ? 0x1010 : 0x3232);
}

// Scale and zero of four neighbouring channels in one group, 16 bits each, lowest channel first.
struct FourScales {
  uint2 scale, zero;
};

struct LayoutV2 {
  static __device__ __forceinline__ const uint8_t* run_pointer(const Args& args, int64_t channel, int64_t run) {
    const int64_t line = channel / 4 * (args.k / 64) + run / 2;
    return static_cast<const uint8_t*>(args.weights) + line * 128 + channel % 4 * 32 + run % 2 * 16;
  }

  // `channel` is a multiple of 4, as is n: the four channels exist together and their scales are 8-byte aligned.
  static __device__ __forceinline__ FourScales load_scales(const Args& args, int64_t channel, int64_t group) {
    const int64_t offset = group * args.scales_row_stride_elems + channel;
    return {__ldg(reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(args.scales) + offset)),
            __ldg(reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(args.zeros) + offset))};
  }

  // Pairs of one word that a lane of mma step `half` takes for a row: q * scale + zero, rounded once.
  template <class T>
  static __device__ __forceinline__ void dequantize(uint32_t word, int half, uint32_t scale, uint32_t zero,
                                                    uint32_t (&w)[2]) {
    Pair<T>::unpack(word, half, w);
    w[0] = Pair<T>::fma(w[0], scale, zero);
    w[1] = Pair<T>::fma(w[1], scale, zero);
  }

  // What faces word `word`, mma step `half`, of a run whose 32 activations are in `x` (8 to a chunk): the nibble pair i
  // of word j stands for columns 8i + 2j and 8i + 2j + 1, register j of chunk i.
  static __device__ __forceinline__ uint2 x_fragment(const uint32_t (&x)[4][4], int word, int half) {
    return {x[2 * half][word], x[2 * half + 1][word]};
  }

  // The same from shared memory for the lane's own word: b[2 * half], b[2 * half + 1] face mma step `half` of run `run`.
  // `rows` are eight 128-byte rows of activations whose 16-byte chunks are permuted by exclusive or with the row.
  static __device__ __forceinline__ void load_x(uint32_t (&b)[4], const uint8_t* rows, int run) {
    const int lane = threadIdx.x % 32, row = lane % 8, chunk = 4 * run + lane / 8;
    ptx::ldmatrix_x4(b, ptx::smem_address(rows + row * 128 + (chunk ^ row) * 16));
  }
};

struct LayoutV1 {
  static __device__ __forceinline__ const uint8_t* run_pointer(const Args& args, int64_t channel, int64_t run) {
    return static_cast<const uint8_t*>(args.weights) + channel * (args.k / 2) + run * kRunBytes;
  }

  static __device__ __forceinline__ FourScales load_scales(const Args& args, int64_t channel, int64_t group) {
    uint32_t scale[4], zero[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t row = channel + i;
      scale[i] = __ldg(static_cast<const uint16_t*>(args.scales) + row * args.scales_row_stride_elems + group);
      const uint32_t word =
          __ldg(static_cast<const uint32_t*>(args.zeros) + row * args.zeros_row_stride_elems + group / 8);
      zero[i] = word >> (group % 8 * 4) & 0xf;
    }
    return {{scale[0] | scale[1] << 16, scale[2] | scale[3] << 16},
            {zero[0] | zero[1] << 16 | Pair<__half>::kMagic, zero[2] | zero[3] << 16 | Pair<__half>::kMagic}};
  }

  // (q - zero_point) * scale, rounded once; `zero` is 1024 + zero point, as load_scales() makes it.
  template <class T>
  static __device__ __forceinline__ void dequantize(uint32_t word, int half, uint32_t scale, uint32_t zero,
                                                    uint32_t (&w)[2]) {
    Pair<T>::unpack_minus(word, half, zero, w);
    w[0] = Pair<T>::mul(w[0], scale);
    w[1] = Pair<T>::mul(w[1], scale);
  }

  // The nibble pair i of word j stands for columns 8j + i and 8j + i + 4: halves of registers i / 2 and i / 2 + 2 of
  // chunk j.
  static __device__ __forceinline__ uint2 x_fragment(const uint32_t (&x)[4][4], int word, int half) {
    return {__byte_perm(x[word][half], x[word][half + 2], 0x5410),
            __byte_perm(x[word][half], x[word][half + 2], 0x7632)};
  }

  // As in LayoutV2. Word c of a run stands for its columns 8c .. 8c + 7: one chunk for lane c.
  static __device__ __forceinline__ void load_x(uint32_t (&b)[4], const uint8_t* rows, int run) {
    const int lane = threadIdx.x % 32, row = lane / 4, chunk = 4 * run + lane % 4;
    const uint4 x = *reinterpret_cast<const uint4*>(rows + row * 128 + (chunk ^ row) * 16);
    b[0] = __byte_perm(x.x, x.z, 0x5410);
    b[1] = __byte_perm(x.x, x.z, 0x7632);
    b[2] = __byte_perm(x.y, x.w, 0x5410);
    b[3] = __byte_perm(x.y, x.w, 0x7632);
  }
};

}  // namespace awq::w4a16

// Element types on the device: conversion to and from the type of the arithmetic, and selection of a C++ type by a
// run-time DType.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/common/dtype.h"
#if AWQ_ENABLE_BF16
#include <cuda_bf16.h>
#endif

namespace awq {

// The type of sums and products over elements of T.
template <typename T>
struct AccumulatorOf {
  using Type = float;
};
template <>
struct AccumulatorOf<double> {
  using Type = double;
};
template <typename T>
using Accumulator = typename AccumulatorOf<T>::Type;

__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }

// narrow<T>(x): x rounded to nearest even. Values beyond T's range become infinite, as in PyTorch.
template <typename T>
__device__ __forceinline__ T narrow(Accumulator<T> x) {
  return x;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float x) {
  return __float2half_rn(x);
}

#if AWQ_ENABLE_BF16
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
template <>
__device__ __forceinline__ __nv_bfloat16 narrow<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
#endif

// Two narrowed values as one word, the first in the lower half. One instruction converts both.
template <typename T>
__device__ __forceinline__ uint32_t narrow_pair(float x, float y);
template <>
__device__ __forceinline__ uint32_t narrow_pair<__half>(float x, float y) {
  const __half2 pair = __floats2half2_rn(x, y);
  return reinterpret_cast<const uint32_t&>(pair);
}
#if AWQ_ENABLE_BF16
template <>
__device__ __forceinline__ uint32_t narrow_pair<__nv_bfloat16>(float x, float y) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
  return reinterpret_cast<const uint32_t&>(pair);
}
#endif

// The value of an element given as its bits.
template <typename T>
__device__ __forceinline__ float widen_bits(uint16_t bits);
template <>
__device__ __forceinline__ float widen_bits<__half>(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
#if AWQ_ENABLE_BF16
template <>
__device__ __forceinline__ float widen_bits<__nv_bfloat16>(uint16_t bits) {
  return __uint_as_float(bits << 16);
}
#endif

// The value to convert so that finite results of type T stay finite. Only fp16 has a range that activations may leave.
// For fp16, finite values are clamped to +-65504. Infinities and NaN are kept.
template <typename T>
__device__ __forceinline__ float saturate(float x) {
  return x;
}
template <>
__device__ __forceinline__ float saturate<__half>(float x) {
  constexpr float kMax = 65504.0f;
  const float clamped = fminf(fmaxf(x, -kMax), kMax);
  return fabsf(x) < INFINITY ? clamped : x;  // false for NaN, which fmaxf would drop
}

// Calls f with a value of the element type that `dtype` names. Returns cudaErrorInvalidValue if the build or the caller
// does not support the type. Only one family supports fp64, so the caller enables it.
template <bool kWithFloat64 = false, typename F>
cudaError_t dispatch_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat16: return f(__half{});
#if AWQ_ENABLE_BF16
    case DType::kBFloat16: return f(__nv_bfloat16{});
#endif
    case DType::kFloat32: return f(float{});
    case DType::kFloat64:
      if constexpr (kWithFloat64) return f(double{});
      return cudaErrorInvalidValue;
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace awq

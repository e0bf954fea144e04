// Arithmetic on sizes. Host and device.
#pragma once

#ifdef __CUDACC__
#define AWQ_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define AWQ_HOST_DEVICE inline
#endif

namespace awq {

// a / b rounded up, for a >= 0 and b > 0. The type is that of a + b.
template <typename A, typename B>
AWQ_HOST_DEVICE constexpr auto ceil_div(A a, B b) {
  return (a + b - 1) / b;
}

// a rounded up to a multiple of b.
template <typename A, typename B>
AWQ_HOST_DEVICE constexpr auto round_up(A a, B b) {
  return ceil_div(a, b) * b;
}

}  // namespace awq

// One function for each PTX instruction that the kernels use and CUDA C++ does not name. Each comment says why the
// kernels use it. If an architecture lacks the instruction, the function does the same work with plain code.
#pragma once

#include <cstdint>

#include "csrc/common/gpu.h"

namespace awq::ptx {

// The address of shared memory as a 32-bit number, as the instructions below need it.
__device__ __forceinline__ uint32_t smem_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Loads 16 bytes of data that is read once (weights). The load bypasses L1, so that L1 keeps data that is read again
// (activations).
__device__ __forceinline__ uint4 load_streaming_16(const void* global) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(global));
  return value;
}

// Loads 16 bytes by an ordinary load, for data that the kernel itself may have written. Volatile keeps the load at its
// place in a software pipeline, before the arithmetic on earlier data.
__device__ __forceinline__ uint4 load_once_16(const void* global) {
  uint4 value;
  asm volatile("ld.global.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(global)
               : "memory");
  return value;
}

// Stores of 16 and 8 bytes to global memory. The compiler sometimes splits the store of a struct into one store per
// word.
__device__ __forceinline__ void store_16(void* global, const uint32_t (&words)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(global)), "r"(words[0]),
               "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
}
__device__ __forceinline__ void store_8(void* global, const uint32_t (&words)[2]) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(global)), "r"(words[0]), "r"(words[1])
               : "memory");
}

// Asynchronous copy of kBytes (8 or 16) from global to shared memory. It uses no registers. Both addresses are aligned
// to kBytes. If `valid` is false, nothing is read and zeros are written. Copies of 16 bytes bypass L1.
template <int kBytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool valid) {
  static_assert(kBytes == 8 || kBytes == 16, "cp_async: 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
  const int source_bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(smem_address(shared)), "l"(global),
                 "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(smem_address(shared)), "l"(global), "n"(kBytes),
                 "r"(source_bytes)
                 : "memory");
  }
#else
#pragma unroll
  for (int i = 0; i < kBytes / 4; ++i) {
    static_cast<uint32_t*>(shared)[i] = valid ? static_cast<const uint32_t*>(global)[i] : 0;
  }
#endif
}

// The policy of the L2 cache for data that is read once: such data is evicted first, and other data stays. Instructions
// take the policy from a register. It is 0 if the architecture lacks policies.
__device__ __forceinline__ uint64_t evict_first_policy() {
  uint64_t policy = 0;
#if __CUDA_ARCH__ >= 800
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
#endif
  return policy;
}

// cp_async of 16 bytes with such a policy.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, bool valid, uint64_t policy) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(smem_address(shared)),
               "l"(global), "r"(valid ? 16 : 0), "l"(policy)
               : "memory");
#else
  cp_async<16>(shared, global, valid);
#endif
}

// Closes the group of this thread's copies since the last call. An empty group is complete at once.
__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kPending of this thread's latest groups are incomplete. Copies of other threads also need a
// barrier.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// Programmatic launch (sm_90). The first function lets the next kernel of the stream start while this kernel drains, if
// the next kernel was launched with overlap. The second function, in that next kernel, waits until the writes of the
// previous kernel are visible.
__device__ __forceinline__ void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Four 8x8 matrices of 16-bit elements: lane 8j + i gives the address of row i of matrix j (16 bytes, 16-byte aligned);
// lane 4i + c receives in fragment[j] the elements 2c and 2c + 1 of row i. A warp gets the operands of an mma in
// one conflict-free instruction if the eight rows of a matrix lie in different 16-byte bank groups.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&fragment)[4], uint32_t row_address) {
#if __CUDA_ARCH__ >= 750
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(row_address)
               : "memory");
#else
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const uint32_t address = __shfl_sync(kAllLanes, row_address, 8 * j + lane / 4) + 4 * (lane % 4);
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(fragment[j]) : "r"(address) : "memory");
  }
#endif
}

// Transposes an 8x8 matrix of 16-bit elements held by a warp, two of row lane / 4 per lane. From sm_75 on.
__device__ __forceinline__ uint32_t transpose_8x8(uint32_t x) {
  uint32_t y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// (a & b) | c in one instruction. The compiler needs two if b and c are both constants.
__device__ __forceinline__ uint32_t and_or(uint32_t a, uint32_t b, uint32_t c) {
  constexpr int kTable = (0xf0 & 0xcc) | 0xaa;  // the function applied to the truth-table columns of a, b and c
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(a), "r"(b), "r"(c), "n"(kTable));
  return result;
}

// The larger of `max` (at least zero) and |x|; NaN if one of them is NaN. One instruction, which includes the
// magnitude.
__device__ __forceinline__ float max_magnitude(float max, float x) {
#if __CUDA_ARCH__ >= 800
  asm("max.NaN.f32 %0, %0, %1;" : "+f"(max) : "f"(fabsf(x)));
  return max;
#else
  // As unsigned integers the bits of magnitudes are ordered as the floats are, NaN above infinity.
  const unsigned a = __float_as_uint(max) & 0x7fffffffu, b = __float_as_uint(x) & 0x7fffffffu;
  return __uint_as_float(a > b ? a : b);
#endif
}

// Four integers clamped to -128..127, the first in the lowest byte.
__device__ __forceinline__ uint32_t pack_int8x4(int i0, int i1, int i2, int i3) {
#if __CUDA_ARCH__ >= 720
  // Clamps two integers and shifts them in below the two of `upper`: eleven operations become two.
  uint32_t upper, packed;
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(upper) : "r"(i3), "r"(i2));
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(packed) : "r"(i1), "r"(i0), "r"(upper));
  return packed;
#else
  const auto byte = [](int i) { return static_cast<uint32_t>(max(-128, min(127, i))) & 0xffu; };
  return byte(i0) | byte(i1) << 8 | byte(i2) << 16 | byte(i3) << 24;
#endif
}

// A barrier of the cluster (sm_90) in two steps. Threads that have exited count as arrived. The first form makes the
// writes of this thread visible to the waiting threads, at the cost of a memory barrier. Release and acquire are the
// defaults. They are not written, because CUDA 11.8's PTX has no modifiers here.
__device__ __forceinline__ void cluster_arrive_release() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_arrive() {
#if __CUDA_ARCH__ >= 900 && __CUDACC_VER_MAJOR__ >= 12
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#elif __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
#endif
}

// Reads a variable from the shared memory of another block of the cluster. `local` is its address in this block.
__device__ __forceinline__ float load_from_block(const float* local, unsigned rank) {
  float value = 0.0f;
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      "  .reg .b32 remote;\n"
      "  mapa.shared::cluster.u32 remote, %1, %2;\n"
      "  ld.shared::cluster.f32 %0, [remote];\n"
      "}\n"
      : "=f"(value)
      : "r"(smem_address(local)), "r"(rank)
      : "memory");
#endif
  return value;
}

}  // namespace awq::ptx

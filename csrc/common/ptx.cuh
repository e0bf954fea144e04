// One function per PTX instruction the kernels use and CUDA C++ has no name for, each with the reason to use it.
// Where an architecture lacks the instruction, the function does the same work by plain code.
#pragma once

#include <cstdint>

namespace awq::ptx {

// Address of shared memory as the 32-bit number that the instructions below take.
__device__ __forceinline__ uint32_t smem_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// 16 bytes of data that is read once (weights): passes L1 by, so that what is read again (activations) stays there.
__device__ __forceinline__ uint4 load_streaming_16(const void* global) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(global));
  return value;
}

// Asynchronous copy of kBytes (4, 8 or 16, the alignment of both sides) from global to shared memory, without a detour
// through registers; where `valid` is false nothing is read and zeros are written. 16 bytes bypass L1.
template <int kBytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool valid) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp_async: 4, 8 or 16 bytes");
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

// How the second-level cache shall treat data that is read once: the first to go, so that what is needed again stays.
// In a register because instructions take it from there; 0 where the architecture lacks it.
__device__ __forceinline__ uint64_t evict_first_policy() {
  uint64_t policy = 0;
#if __CUDA_ARCH__ >= 800
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
#endif
  return policy;
}

// cp_async of 16 bytes under such a policy.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, bool valid, uint64_t policy) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(smem_address(shared)),
               "l"(global), "r"(valid ? 16 : 0), "l"(policy)
               : "memory");
#else
  cp_async<16>(shared, global, valid);
#endif
}

// Closes the group of this thread's copies since the last call; an empty group is complete at once.
__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kPending of this thread's latest groups are under way. Other threads' copies need a barrier too.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// Programmatic launch (sm_90): lets the next kernel of the stream, if launched so, start while this one drains; and, in
// that kernel, waits until this one's writes are there.
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
    const uint32_t address = __shfl_sync(0xffffffffu, row_address, 8 * j + lane / 4) + 4 * (lane % 4);
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(fragment[j]) : "r"(address) : "memory");
  }
#endif
}

// (a & b) | c in one instruction. The compiler makes two of it when b and c are both constants.
__device__ __forceinline__ uint32_t and_or(uint32_t a, uint32_t b, uint32_t c) {
  constexpr int kTable = (0xf0 & 0xcc) | 0xaa;  // the function applied to the truth-table columns of a, b and c
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(a), "r"(b), "r"(c), "n"(kTable));
  return result;
}

}  // namespace awq::ptx

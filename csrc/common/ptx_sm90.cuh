// PTX that exists on Hopper alone (target sm_90a, from CUDA 12.0 on). As in ptx.cuh, there is one function per
// instruction. There is no fallback: files that include this header are compiled for 90a only.
#pragma once

#include <cuda.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "csrc/common/dtype.h"
#include "csrc/common/ptx.cuh"
#if AWQ_ENABLE_BF16
#include <cuda_bf16.h>
#endif

namespace awq::ptx {

// ---- Memory barriers: objects in shared memory that count arrivals and the bytes of copies --------------------------
// A phase ends when all expected arrivals and bytes have come in. The parity distinguishes successive phases.

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem_address(barrier)), "r"(arrivals) : "memory");
}

// Makes the barriers that this thread initialized visible to the copy engine.
__device__ __forceinline__ void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// One arrival. It also announces `bytes` of copies that will complete on the barrier.
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem_address(barrier)), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem_address(barrier)) : "memory");
}

// One arrival, when all cp.async copies that this thread has started are complete. It counts among the arrivals given
// to mbarrier_init ("noinc").
__device__ __forceinline__ void mbarrier_arrive_after_cp_async(uint64_t* barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(smem_address(barrier)) : "memory");
}

// Waits for the end of the phase of the given parity. Returns at once if the barrier is in the phase after it. The
// scope is the block (the default). With the scope of a cluster, every wait would also empty the L1 cache.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "wait:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra end;\n"
      "bra wait;\n"
      "end:\n"
      "}" ::"r"(smem_address(barrier)),
      "r"(parity)
      : "memory");
}

// Adds 1 to a counter in shared memory, or sets it to 0 if it was `last`. Returns the old value. Does not order other
// accesses: a fence would wait for all copies in flight.
__device__ __forceinline__ uint32_t increment_shared(uint32_t* counter, uint32_t last) {
  uint32_t before;
  asm volatile("atom.relaxed.cta.shared::cta.inc.u32 %0, [%1], %2;"
               : "=r"(before)
               : "r"(smem_address(counter)), "r"(last)
               : "memory");
  return before;
}

// ---- The tensor copy engine -----------------------------------------------------------------------------------------

// Starts the copy of a box of a matrix to shared memory. The first element of the box is (`column`, `row`). The copy
// completes on `barrier`. One thread copies a whole tile without registers or address arithmetic. Elements outside the
// matrix arrive as zeros and count as copied.
__device__ __forceinline__ void copy_box(void* shared, const CUtensorMap& map, int column, int row, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          smem_address(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(smem_address(barrier))
      : "memory");
}

// copy_box with a policy for the L2 cache.
__device__ __forceinline__ void copy_box(void* shared, const CUtensorMap& map, int column, int row, uint64_t* barrier,
                                         uint64_t l2_policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%2, "
      "%3}], [%4], %5;" ::"r"(smem_address(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(smem_address(barrier)), "l"(l2_policy)
      : "memory");
}

// Starts the copy of `bytes` to shared memory. `bytes` and both addresses are multiples of 16. The copy completes on
// `barrier`.
__device__ __forceinline__ void copy_bytes(void* shared, const void* global, int bytes, uint64_t* barrier,
                                           uint64_t l2_policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::
          "r"(smem_address(shared)),
      "l"(global), "r"(bytes), "r"(smem_address(barrier)), "l"(l2_policy)
      : "memory");
}

// Fetches a matrix's description ahead of the first copy.
__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Starts the copy of a box from shared memory to a matrix. Elements outside the matrix are dropped. The copies of the
// thread form groups like those of cp.async.
__device__ __forceinline__ void store_box(const CUtensorMap& map, int column, int row, const void* shared) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map), "r"(column),
               "r"(row), "r"(smem_address(shared))
               : "memory");
}
__device__ __forceinline__ void store_box_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Waits until the shared memory of all but the latest kPending groups has been read and may be written again.
template <int kPending = 0>
__device__ __forceinline__ void store_box_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

// Orders this thread's writes to shared memory before the reads of the copy engine after the next barrier.
__device__ __forceinline__ void fence_before_store_box() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Writes four 8x8 matrices of 16-bit elements to shared memory, transposed. Lane 8j + i gives the address of row i of
// the written matrix j (16 bytes, 16-byte aligned). Lane 4i + c gives in fragment[j] the elements 2c and 2c + 1 of
// column i.
__device__ __forceinline__ void stmatrix_x4_transposed(uint32_t row_address, const uint32_t (&fragment)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row_address),
               "r"(fragment[0]), "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
               : "memory");
}

// ---- Barriers of a part of the block --------------------------------------------------------------------------------

// Barrier over kThreads threads, which form whole warps. Number 0 is __syncthreads().
template <int kThreads>
__device__ __forceinline__ void named_barrier(int number) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(kThreads) : "memory");
}

// ---- Registers ------------------------------------------------------------------------------------------------------

// Warps of a warpgroup give registers back, or wait until they get more. Warps that only start copies need few
// registers. Warps that hold sums need many.
template <int kRegisters>
__device__ __forceinline__ void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void acquire_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// The division of registers in a block of kConsumers multiplying warpgroups and one filling warpgroup. The launch gives
// the same number to all. The filling warpgroup then gives most of its registers to the others.
template <int kConsumers>
struct RegisterSplit {
  static constexpr int kAtLaunch = 64 * 1024 / ((kConsumers + 1) * kWarpgroupThreads) / 8 * 8;
  static constexpr int kConsumer = 232, kProducer = 40;
  static_assert(kConsumers * kConsumer + kProducer <= (kConsumers + 1) * kAtLaunch,
                "a block that asks for more registers than it was launched with waits forever");
};

// ---- wgmma: the product of a warpgroup, 64 x N x 32 bytes; it runs while the warps continue -------------------------

// Orders earlier accesses to the registers of sums and operands before the products that follow.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Closes the group of products since the last call.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most kPending of the latest groups still run.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Prevents the compiler from moving reads or writes of registers across this place. The compiler does not know that a
// running product uses them.
template <int kCount>
__device__ __forceinline__ void pin(float (&registers)[kCount]) {
#pragma unroll
  for (float& r : registers) asm volatile("" : "+f"(r)::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(uint32_t (&registers)[kCount]) {
#pragma unroll
  for (uint32_t& r : registers) asm volatile("" : "+r"(r)::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(int (&registers)[kCount]) {
#pragma unroll
  for (int& r : registers) asm volatile("" : "+r"(r)::"memory");
}

// Operand B in shared memory as wgmma takes it: N rows of 128 bytes along K, 1024-byte aligned. The 16-byte chunks of a
// row are permuted by exclusive or with the row, as copy_box leaves them under CU_TENSOR_MAP_SWIZZLE_128B. A step of 32
// bytes along K adds kDescriptorStep to the descriptor.
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* rows) {
  constexpr uint64_t kSwizzle128 = 1, kUnused = 1;
  constexpr uint64_t kEightRows = 8 * kLineBytes;  // distance from one group of eight rows to the next
  return (smem_address(rows) & 0x3ffff) >> 4 | kUnused << 16 | (kEightRows >> 4) << 32 | kSwizzle128 << 62;
}
constexpr uint64_t kDescriptorStep = 32 >> 4;

// D += A * B, or D = A * B unless `accumulate`; A [64, 16] and B [16, N] of T, D [64, N] fp32. Warp w of the warpgroup
// holds rows 16w ... 16w + 15: its lane 4g + c has of A what it has for mma_m16n8k16, and in d[4j ... 4j + 3] of D
// D[g][8j + 2c, 8j + 2c + 1], D[g + 8][8j + 2c, 8j + 2c + 1].
template <class T, int kRegisters>
__device__ __forceinline__ void wgmma(float (&d)[kRegisters], const uint32_t (&a)[4], uint64_t b, bool accumulate);

#define AWQ_D8(i)                                                                                             \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define AWQ_D16(i) AWQ_D8(i), AWQ_D8(i + 8)
#define AWQ_D32(i) AWQ_D16(i), AWQ_D16(i + 16)
#define AWQ_D64(i) AWQ_D32(i), AWQ_D32(i + 32)
#define AWQ_D128(i) AWQ_D64(i), AWQ_D64(i + 64)
#define AWQ_NAMES8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define AWQ_NAMES16 AWQ_NAMES8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define AWQ_NAMES32 AWQ_NAMES16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define AWQ_NAMES64                                                                                             \
  AWQ_NAMES32                                                                                                   \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define AWQ_NAMES128                                                                                       \
  AWQ_NAMES64                                                                                              \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, " \
  "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, "     \
  "%103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, "       \
  "%119, %120, %121, %122, %123, %124, %125, %126, %127"
#define AWQ_WGMMA(T, type, columns, registers, names, operands, inputs, flag)                                       \
  template <>                                                                                                       \
  __device__ __forceinline__ void wgmma<T, registers>(float (&d)[registers], const uint32_t (&a)[4], uint64_t b,    \
                                                      bool accumulate) {                                            \
    asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, " flag                                         \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" columns "k16.f32." type "." type " {" names "}, " inputs \
                 ", accumulate, 1, 1, 0;\n}"                                                                        \
                 : operands                                                                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)));          \
  }
#define AWQ_WGMMAS(T, type)                                                                  \
  AWQ_WGMMA(T, type, "16", 8, AWQ_NAMES8, AWQ_D8(0), "{%8, %9, %10, %11}, %12", "%13")       \
  AWQ_WGMMA(T, type, "32", 16, AWQ_NAMES16, AWQ_D16(0), "{%16, %17, %18, %19}, %20", "%21")  \
  AWQ_WGMMA(T, type, "64", 32, AWQ_NAMES32, AWQ_D32(0), "{%32, %33, %34, %35}, %36", "%37")  \
  AWQ_WGMMA(T, type, "128", 64, AWQ_NAMES64, AWQ_D64(0), "{%64, %65, %66, %67}, %68", "%69") \
  AWQ_WGMMA(T, type, "256", 128, AWQ_NAMES128, AWQ_D128(0), "{%128, %129, %130, %131}, %132", "%133")

AWQ_WGMMAS(__half, "f16")
#if AWQ_ENABLE_BF16
AWQ_WGMMAS(__nv_bfloat16, "bf16")
#endif

// D += A * B, or D = A * B unless `accumulate`; A [64, 32] and B [32, N] of int8, both described in shared memory, D
// [64, N] int32, wrapping, held as above.
template <int kRegisters>
__device__ __forceinline__ void wgmma_int8(int (&d)[kRegisters], uint64_t a, uint64_t b, bool accumulate);

#define AWQ_R8(i)                                                                                             \
  "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), "+r"(d[i + 4]), "+r"(d[i + 5]), "+r"(d[i + 6]), \
      "+r"(d[i + 7])
#define AWQ_R16(i) AWQ_R8(i), AWQ_R8(i + 8)
#define AWQ_R32(i) AWQ_R16(i), AWQ_R16(i + 16)
#define AWQ_R64(i) AWQ_R32(i), AWQ_R32(i + 32)
#define AWQ_R128(i) AWQ_R64(i), AWQ_R64(i + 64)
#define AWQ_WGMMA_INT8(columns, registers, names, operands, inputs, flag)                               \
  template <>                                                                                           \
  __device__ __forceinline__ void wgmma_int8<registers>(int (&d)[registers], uint64_t a, uint64_t b,    \
                                                        bool accumulate) {                              \
    asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, " flag                             \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" columns "k32.s32.s8.s8 {" names "}, " inputs \
                 ", accumulate;\n}"                                                                     \
                 : operands                                                                             \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));                                  \
  }
AWQ_WGMMA_INT8("16", 8, AWQ_NAMES8, AWQ_R8(0), "%8, %9", "%10")
AWQ_WGMMA_INT8("32", 16, AWQ_NAMES16, AWQ_R16(0), "%16, %17", "%18")
AWQ_WGMMA_INT8("64", 32, AWQ_NAMES32, AWQ_R32(0), "%32, %33", "%34")
AWQ_WGMMA_INT8("128", 64, AWQ_NAMES64, AWQ_R64(0), "%64, %65", "%66")
AWQ_WGMMA_INT8("256", 128, AWQ_NAMES128, AWQ_R128(0), "%128, %129", "%130")

#undef AWQ_WGMMA_INT8
#undef AWQ_R128
#undef AWQ_R64
#undef AWQ_R32
#undef AWQ_R16
#undef AWQ_R8
#undef AWQ_WGMMAS
#undef AWQ_WGMMA
#undef AWQ_NAMES128
#undef AWQ_NAMES64
#undef AWQ_NAMES32
#undef AWQ_NAMES16
#undef AWQ_NAMES8
#undef AWQ_D128
#undef AWQ_D64
#undef AWQ_D32
#undef AWQ_D16
#undef AWQ_D8

}  // namespace awq::ptx

// Kernels that work row by row: how threads are assigned to rows, and how a thread holds its share of one.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "csrc/common/reduce.cuh"
#include "csrc/common/vector.cuh"

namespace awq {

// A team of kThreads works on one row. If kResident, each thread holds kVectors 16-byte vectors of it in registers from
// the first pass to the last; else each pass reads the row again, and rows may have any length.
template <int kThreads_, int kVectors_, bool kResident_>
struct RowConfig {
  static constexpr int kThreads = kThreads_;  // of a team
  static constexpr int kVectors = kVectors_;
  static constexpr bool kResident = kResident_;
  // Teams of one warp share a block, so that a multiprocessor can be filled with the blocks it may hold.
  static constexpr int kRowsPerBlock = kThreads == kWarpSize ? 4 : 1;
  static constexpr int kBlockThreads = kThreads * kRowsPerBlock;
  static constexpr int kMaxVectors = kThreads * kVectors;  // longest resident row
  static constexpr int kWarps = kThreads / kWarpSize;
  static_assert(kThreads % kWarpSize == 0 && kBlockThreads <= 1024, "teams are whole warps of one block");
};

// Rows by length in vectors. Four vectors per thread keep 64 bytes per thread in flight at half occupancy or more; the
// teams are no larger than that needs, since more warps mean more waiting at the reductions.
using RowOfWarp = RowConfig<32, 4, true>;
using RowOf128 = RowConfig<128, 4, true>;
using RowOf256 = RowConfig<256, 4, true>;
using RowOf512 = RowConfig<512, 4, true>;
using RowOf1024 = RowConfig<1024, 4, true>;
using RowFromMemory = RowConfig<1024, 1, false>;

constexpr int64_t kAnyLength = INT64_MAX;

// One line of a family's dispatch table: the launch for rows of at most max_vectors.
template <typename Params>
struct RowChoice {
  int64_t max_vectors;
  cudaError_t (*launch)(const Params&, cudaStream_t);
};

// Table over all row configurations; Launch<T, Config>::run launches one.
template <typename Params, typename T, template <typename, typename> class Launch>
constexpr RowChoice<Params> kRowTable[] = {
    {RowOfWarp::kMaxVectors, Launch<T, RowOfWarp>::run},    // 1024 16-bit elements
    {RowOf128::kMaxVectors, Launch<T, RowOf128>::run},      // 4096
    {RowOf256::kMaxVectors, Launch<T, RowOf256>::run},      // 8192
    {RowOf512::kMaxVectors, Launch<T, RowOf512>::run},      // 16384
    {RowOf1024::kMaxVectors, Launch<T, RowOf1024>::run},    // 32768
    {kAnyLength, Launch<T, RowFromMemory>::run},            // more than the registers of a block hold
};

// Runs the first line of kRowTable that fits rows of `columns` elements.
template <template <typename, typename> class Launch, typename T, typename Params>
cudaError_t launch_rows(const Params& params, int64_t columns, cudaStream_t stream) {
  const int64_t vectors = (columns + kVecElems<T> - 1) / kVecElems<T>;
  for (const RowChoice<Params>& choice : kRowTable<Params, T, Launch>) {
    if (vectors <= choice.max_vectors) return choice.launch(params, stream);
  }
  return cudaErrorInvalidValue;
}

constexpr int64_t kMaxColumns = INT32_MAX;

// Blocks for `rows` rows: all of them at once, up to what a grid may have; the kernels loop over the rest.
template <typename Config>
unsigned row_blocks(int64_t rows) {
  const int64_t blocks = (rows + Config::kRowsPerBlock - 1) / Config::kRowsPerBlock;
  return static_cast<unsigned>(blocks < INT32_MAX ? blocks : INT32_MAX);
}

// The rows of the calling thread's team.
template <typename Config>
__device__ __forceinline__ int64_t first_row() {
  return static_cast<int64_t>(blockIdx.x) * Config::kRowsPerBlock + threadIdx.x / Config::kThreads;
}
template <typename Config>
__device__ __forceinline__ int64_t row_step() {
  return static_cast<int64_t>(gridDim.x) * Config::kRowsPerBlock;
}
// To be called before a team goes on to its next row: the slots of its reductions are used again.
template <typename Config>
__device__ __forceinline__ void end_row() {
  if constexpr (Config::kThreads > kWarpSize) __syncthreads();
}

// A thread's share of a row. Vector i of the row belongs to thread i % kThreads of the team.
template <typename T, typename Config>
class RowTile {
 public:
  // `whole`: the row is aligned and a multiple of a vector long. Loads the row if it is held in registers.
  __device__ __forceinline__ RowTile(const T* row, int columns, bool whole)
      : row_(row), columns_(columns), rank_(threadIdx.x % Config::kThreads), whole_(whole) {
    if constexpr (Config::kResident) {
      // The two forms apart, so that nothing stands between the loads of the usual one.
      if (whole) {
#pragma unroll
        for (int i = 0; i < Config::kVectors; ++i) {
          if (first(i) < columns_) vectors_[i] = load_vec<Vec<T>>(row + first(i));
        }
      } else {
#pragma unroll
        for (int i = 0; i < Config::kVectors; ++i) vectors_[i] = load_vec(row + first(i), count(first(i)), false);
      }
    }
  }

  // Calls f(v, first, count) for each vector of the thread: v is Vec<T>&, elements first .. first + count - 1 of the row,
  // then zeros. What f assigns to v is there at the next visit if the row is resident, and lost if not.
  template <typename F>
  __device__ __forceinline__ void visit(F&& f) {
    if constexpr (Config::kResident) {
#pragma unroll
      for (int i = 0; i < Config::kVectors; ++i) {
        forget_conversions(vectors_[i]);
        if (first(i) < columns_) f(vectors_[i], first(i), count(first(i)));
      }
    } else {
      for (int64_t at = first(0); at < columns_; at += Config::kThreads * Vec<T>::kElems) {
        Vec<T> v = load_vec(row_ + at, count(at), whole_);
        f(v, static_cast<int>(at), count(at));
      }
    }
  }

  // Later visits of a row that is not resident read it here.
  __device__ __forceinline__ void continue_from(const T* row) { row_ = row; }

 private:
  __device__ __forceinline__ int first(int i) const { return (rank_ + i * Config::kThreads) * Vec<T>::kElems; }
  __device__ __forceinline__ int count(int64_t at) const {
    const int64_t left = columns_ - at;
    return left < Vec<T>::kElems ? static_cast<int>(left) : Vec<T>::kElems;
  }

  // Without this the compiler keeps the fp32 values of the first visit for the later ones, in twice the registers, and
  // half as many rows are in flight. Converting again is cheaper.
  __device__ static __forceinline__ void forget_conversions(Vec<T>& v) {
    if constexpr (sizeof(T) < sizeof(float)) {
      uint4& words = reinterpret_cast<uint4&>(v);
      asm volatile("" : "+r"(words.x), "+r"(words.y), "+r"(words.z), "+r"(words.w));
    }
  }

  const T* row_;
  int columns_;
  int rank_;
  bool whole_;
  Vec<T> vectors_[Config::kResident ? Config::kVectors : 1];
};

}  // namespace awq

// Kernels that work row by row: the assignment of threads to rows, and a thread's share of a row.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "csrc/common/reduce.cuh"
#include "csrc/common/vector.cuh"

namespace awq {

// A team of kThreads works on one row. If kResident, each thread holds kVectors 16-byte vectors of the row in registers
// from the first pass to the last. Otherwise each pass reads the row again, and rows may have any length.
template <int kThreads_, int kVectors_, bool kResident_ = true>
struct RowConfig {
  static constexpr int kThreads = kThreads_;  // threads of a team
  static constexpr int kVectors = kVectors_;
  static constexpr bool kResident = kResident_;
  // Small teams share a block. The blocks that a multiprocessor may hold then suffice to fill it.
  static constexpr int kRowsPerBlock = kThreads < 128 ? 128 / kThreads : 1;
  static constexpr int kBlockThreads = kThreads * kRowsPerBlock;
  static constexpr int kWarps = ceil_div(kThreads, kWarpSize);
  static_assert(kBlockThreads <= 1024 && kBlockThreads % kWarpSize == 0, "a block is whole warps");
};

constexpr int64_t kAnyLength = INT64_MAX;

// One line of a family's dispatch table: the launch for rows of at most max_vectors.
template <typename Params>
struct RowChoice {
  int64_t max_vectors;
  cudaError_t (*launch)(const Params&, cudaStream_t);
};

// A table of all row configurations. Launch<T, Config>::run launches one. kVectors is the number of vectors of a
// thread, if its team is a warp or more. Teams are no larger than the row needs, because more warps wait longer at the
// reductions.
template <typename Params, typename T, template <typename, typename> class Launch, int kVectors>
constexpr RowChoice<Params> kRowTable[] = {
    {16, Launch<T, RowConfig<16, 1>>::run},  // 128 16-bit elements: rows of one head
    {32, Launch<T, RowConfig<32, 1>>::run},
    {32 * kVectors, Launch<T, RowConfig<32, kVectors>>::run},
    {128 * kVectors, Launch<T, RowConfig<128, kVectors>>::run},
    {256 * kVectors, Launch<T, RowConfig<256, kVectors>>::run},
    {512 * kVectors, Launch<T, RowConfig<512, kVectors>>::run},
    {1024 * kVectors, Launch<T, RowConfig<1024, kVectors>>::run},
    {kAnyLength, Launch<T, RowConfig<1024, 1, false>>::run},  // more than the registers of a block hold
};

// Four vectors keep 64 bytes per thread in flight, enough for the memory's latency at half occupancy.
constexpr int kRowVectors = 4;

// Runs the first line of kRowTable that fits rows of `columns` elements.
template <template <typename, typename> class Launch, typename T, int kVectors = kRowVectors, typename Params>
cudaError_t launch_rows(const Params& params, int64_t columns, cudaStream_t stream) {
  const int64_t vectors = ceil_div(columns, kVecElems<T>);
  for (const RowChoice<Params>& choice : kRowTable<Params, T, Launch, kVectors>) {
    if (vectors <= choice.max_vectors) return choice.launch(params, stream);
  }
  return cudaErrorInvalidValue;
}

constexpr int64_t kMaxColumns = INT32_MAX;

// The number of blocks for `rows` rows. All rows have a block, up to the maximum of a grid. Kernels loop over the rest.
template <typename Config>
unsigned row_blocks(int64_t rows) {
  const int64_t blocks = ceil_div(rows, Config::kRowsPerBlock);
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
// A team calls this before its next row, because that row uses the slots of the reductions again.
template <typename Config>
__device__ __forceinline__ void end_row() {
  if constexpr (Config::kThreads > kWarpSize) __syncthreads();
}

// Elements of one vector, as a kernel works on them.
template <int kElems>
struct Floats {
  float elem[kElems];
};

// A thread's share of a row: vector i of the row belongs to thread i % kThreads of the team. The elements keep their
// type. If kAsFloats, they are converted to floats once, for kernels that use them many times.
template <typename T, typename Config, bool kAsFloats = false>
class RowTile {
 public:
  static constexpr int kElems = kVecElems<T>;
  using Part = std::conditional_t<kAsFloats, Floats<kElems>, Vec<T>>;  // the argument of visitors

  // Loads the row if it is held in registers. `whole`: the row is aligned and a multiple of a vector long. `whole` must
  // be a compile-time constant of the kernel. Where two forms of a load meet, the compiler waits for the data, and
  // later loads start only then. RMSNorm of 16384 rows of 4096 then took 81 us on an H200 instead of 71.
  __device__ __forceinline__ RowTile(const T* row, int columns, bool whole)
      : row_(row), columns_(columns), rank_(threadIdx.x % Config::kThreads), whole_(whole) {
    if constexpr (Config::kResident) {
      Vec<T> v[Config::kVectors] = {};
#pragma unroll
      for (int i = 0; i < Config::kVectors; ++i) {
        if (first(i) < columns_) v[i] = load_vec(row + first(i), count(first(i)), whole);
      }
#pragma unroll
      for (int i = 0; i < Config::kVectors; ++i) vectors_[i] = held(v[i]);
    }
  }

  // Calls f(v, first, count, others...) for each vector of the thread: v is Part&, elements first .. first + count - 1
  // of the row, then zeros, and the others are the same elements of other rows. What f assigns to v is there at the
  // next visit if the row is resident, and lost if not.
  template <typename F, typename... Tiles>
  __device__ __forceinline__ void visit(F&& f, const Tiles&... others) {
    if constexpr (Config::kResident) {
#pragma unroll
      for (int i = 0; i < Config::kVectors; ++i) {
        if (first(i) < columns_) f(vectors_[i], first(i), count(first(i)), others.vectors_[i]...);
      }
    } else {
      for (int64_t at = first(0); at < columns_; at += Config::kThreads * kElems) {
        Part v = read(at);
        f(v, static_cast<int>(at), count(at), others.read(at)...);
      }
    }
  }

  // Later visits of a row that is not resident read it here.
  __device__ __forceinline__ void continue_from(const T* row) { row_ = row; }

  // Makes the compiler convert the row to fp32 again in the next visit. Otherwise it keeps the values of the last visit
  // in twice the registers, and half as many rows are in flight.
  __device__ __forceinline__ void forget_conversions() {
    static_assert(!kAsFloats, "there is nothing to convert");
    if constexpr (Config::kResident && sizeof(T) < sizeof(float)) {
#pragma unroll
      for (int i = 0; i < Config::kVectors; ++i) {
        auto& words = vectors_[i].words;
        asm volatile("" : "+r"(words[0]), "+r"(words[1]), "+r"(words[2]), "+r"(words[3]));
      }
    }
  }

 private:
  template <typename, typename, bool>
  friend class RowTile;

  __device__ __forceinline__ int first(int i) const { return (rank_ + i * Config::kThreads) * kElems; }
  __device__ __forceinline__ int count(int64_t at) const {
    const int64_t left = columns_ - at;
    return !whole_ && left < kElems ? static_cast<int>(left) : kElems;
  }
  __device__ __forceinline__ Part read(int64_t at) const {
    return held(at < columns_ ? load_vec(row_ + at, count(at), whole_) : Vec<T>{});
  }
  __device__ static __forceinline__ Part held(const Vec<T>& v) {
    if constexpr (kAsFloats) {
      Part converted;
      widen(v, converted.elem);
      return converted;
    } else {
      return v;
    }
  }

  const T* row_;
  int columns_;
  int rank_;
  bool whole_;
  Part vectors_[Config::kResident ? Config::kVectors : 1];
};

}  // namespace awq

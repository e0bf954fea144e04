// The arguments of the attention kernels: the caller's parameters and the division of the work. Internal to this
// family.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/attention/single_query_attention.h"
#include "csrc/common/math.h"

namespace awq::attention {

// A block has the query heads of one key-value head, up to this number. A larger group has several blocks.
constexpr int kMaxHeadsPerBlock = 8;

// A sequence is split into pieces. The slots of a piece are a multiple of this number, so each warp of a block has at
// least one tile.
constexpr int kSplitQuantum = 64;

// The maximum number of pieces of one sequence.
constexpr int kMaxSplits = 256;

// The maximum number of pieces that form a thread block cluster (sm_90) and merge in shared memory. Every such device
// can hold a cluster of this size.
constexpr int kMaxClusterSplits = 8;

// Two blocks with this much shared memory do not fit on one multiprocessor. Hopper's multiprocessors have 228 KB.
constexpr int kExclusiveSmemBytes = 114 * 1024;

// The shared memory of a block of the tensor-core engine for D = 128. Other head dims need somewhat less.
constexpr int kTypicalSmemBytes = 84 * 1024;

// The part [begin, end) of a row's `slots` filled cache slots that piece `split` has. Attention and merge both derive
// it from the row's length, which the host does not know. `splits` is the maximum of the launch. A short row uses fewer
// pieces.
struct SplitRange {
  int begin, end;
  int used_splits;
};

AWQ_HOST_DEVICE SplitRange split_range(unsigned slots, unsigned splits, unsigned split) {
  // Below 2^31 + 2^15 throughout: 32-bit divisions, several times faster than 64-bit ones, and on every block's way.
  const unsigned piece = round_up(ceil_div(slots, splits), unsigned{kSplitQuantum});
  if (piece == 0) return {0, 0, 1};
  const unsigned begin = split * piece, end = begin + piece;
  return {static_cast<int>(begin < slots ? begin : slots), static_cast<int>(end < slots ? end : slots),
          static_cast<int>(ceil_div(slots, piece))};
}

// rotary_dim / 2 <= 128 pairs: the bits of a pair's number.
constexpr int kPairBits = 7;

struct AttendParams {
  SingleQueryAttentionParams user;
  int group_heads;                  // H / Hk
  int head_tiles;                   // blocks that share one key-value head
  int splits;                       // maximum number of pieces of a sequence
  float logit_scale;                // log2(e) / sqrt(D): softmax works with powers of two
  double rotary_turns;              // rotary_scale / (2 pi), turns of pair 0 per position
  double rotary_powers[kPairBits];  // r^1, r^2, r^4, .. with r = rotary_base^(-2 / rotary_dim), a pair's frequency to
                                    // the last one's
  bool clustered;                   // the pieces of a sequence may be a cluster; else the workspace has their results
  bool exclusive;                   // no two blocks on one multiprocessor
  float* partial_out;               // [B, H, splits, D], softmax-weighted means of the pieces; unused for one split
  float* partial_lse;               // [B, H, splits], log2 of the pieces' sums of exponentials
};

// Launch the kernels for one element type; csrc/attention/attend_*.cu.
cudaError_t attend_fp16(const AttendParams& params, cudaStream_t stream);
cudaError_t attend_bf16(const AttendParams& params, cudaStream_t stream);
cudaError_t attend_fp32(const AttendParams& params, cudaStream_t stream);

}  // namespace awq::attention

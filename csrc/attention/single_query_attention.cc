#include "csrc/attention/single_query_attention.h"

#include <algorithm>
#include <cmath>

#include "csrc/attention/attend_params.h"
#include "csrc/common/device.h"

namespace awq {
namespace {

constexpr int64_t kMaxGridX = 0x7fffffff;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool is_head_dim(int d) {
  for (const int size : {32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256}) {
    if (d == size) return true;
  }
  return false;
}

bool is_valid(const SingleQueryAttentionParams& p) {
  const auto unaligned = [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 != 0; };
  if (p.batch < 0 || p.kv_heads < 1 || p.heads < 1 || p.heads % p.kv_heads != 0 || p.cache_len < 1) return false;
  if (!is_head_dim(p.head_dim) || unaligned(p.k_cache) || unaligned(p.v_cache)) return false;
  if (static_cast<int64_t>(p.batch) * p.heads > kMaxGridX) return false;
  return p.rotary_dim >= 0 && p.rotary_dim <= p.head_dim && p.rotary_dim % 2 == 0;
}

// Pieces of a sequence: as many as give the least estimated time. All costs are in cache slots that a block reads.
int choose_splits(const SingleQueryAttentionParams& p, int head_tiles, int sm_count) {
  constexpr int kBlocksPerSm = 3;       // resident at a time; enough to keep memory busy
  constexpr int64_t kBlockOverhead = 48;  // a block's start and end
  constexpr int64_t kMergeOverhead = 64;  // the second kernel
  const int64_t rows = static_cast<int64_t>(p.batch) * p.kv_heads * head_tiles;
  const int64_t slots = std::min<int64_t>(std::max<int64_t>(p.timestep, 0) + 1, p.cache_len);
  const int64_t resident = static_cast<int64_t>(sm_count) * kBlocksPerSm;

  int64_t best_cost = ceil_div(rows, resident) * (slots + kBlockOverhead);
  int best = 1;
  const int64_t most = std::min<int64_t>(kMaxSplits, ceil_div(slots, kSplitQuantum));
  for (int splits = 2; splits <= most; ++splits) {
    const int64_t piece = ceil_div(ceil_div(slots, splits), kSplitQuantum) * kSplitQuantum;
    if (ceil_div(slots, piece) != splits) continue;  // rounding leaves some without work: a smaller number does the same
    const int64_t cost = ceil_div(rows * splits, resident) * (piece + kBlockOverhead) + kMergeOverhead + splits;
    if (cost < best_cost) {
      best_cost = cost;
      best = splits;
    }
  }
  return best;
}

int64_t partial_out_elems(const SingleQueryAttentionParams& p, int splits) {
  return static_cast<int64_t>(p.batch) * p.heads * splits * p.head_dim;
}

// Divides the work; leaves the workspace pointers empty.
cudaError_t plan(const SingleQueryAttentionParams& p, AttendParams* attend) {
  DeviceInfo device{};
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  constexpr double kLog2E = 1.4426950408889634, kTwoPi = 6.283185307179586;
  attend->user = p;
  attend->group_heads = p.heads / p.kv_heads;
  attend->head_tiles = static_cast<int>(ceil_div(attend->group_heads, kMaxHeadsPerBlock));
  attend->splits = choose_splits(p, attend->head_tiles, device.sm_count);
  attend->logit_scale = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(p.head_dim)));
  attend->rotary_ratio = p.rotary_dim > 0 ? std::pow(p.rotary_base, -2.0 / p.rotary_dim) : 1.0;
  attend->rotary_turns = p.rotary_scale / kTwoPi;
  return cudaSuccess;
}

}  // namespace

size_t single_query_attention_workspace_bytes(const SingleQueryAttentionParams& params) {
  AttendParams attend{};
  if (params.batch == 0 || !is_valid(params) || plan(params, &attend) != cudaSuccess || attend.splits == 1) return 0;
  const int64_t outs = partial_out_elems(params, attend.splits);
  return static_cast<size_t>(outs + outs / params.head_dim) * sizeof(float);
}

cudaError_t single_query_attention(const SingleQueryAttentionParams& params, void* workspace, cudaStream_t stream) {
  if (!is_valid(params)) return cudaErrorInvalidValue;
  if (params.batch == 0) return cudaSuccess;
  AttendParams attend{};
  if (const cudaError_t error = plan(params, &attend); error != cudaSuccess) return error;
  if (attend.splits > 1) {
    if (workspace == nullptr || reinterpret_cast<uintptr_t>(workspace) % 16 != 0) return cudaErrorInvalidValue;
    attend.partial_out = static_cast<float*>(workspace);
    attend.partial_lse = attend.partial_out + partial_out_elems(params, attend.splits);
  }
  switch (params.dtype) {
    case DType::kFloat16:
      return attend_fp16(attend, stream);
    case DType::kBFloat16:
      return attend_bf16(attend, stream);
    case DType::kFloat32:
      return attend_fp32(attend, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace awq

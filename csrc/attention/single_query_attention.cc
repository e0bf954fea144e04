#include "csrc/attention/single_query_attention.h"

#include <algorithm>
#include <cmath>

#include "csrc/attention/attend_params.h"
#include "csrc/common/device.h"

namespace awq {
namespace attention {

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

// Pieces of a sequence: as many as give the least estimated time. Blocks run in waves; memory is the limit while enough
// of them are resident, and a last wave of few blocks runs at their own speed. Time is counted in slots read by one
// block at that speed (D = 128, fp16: 31 GB/s, read off launches of 8 to 128 blocks on an H200). For rows of 512 to
// 32768 slots, 8 to 2048 of them, its choice was within 4% of the fastest count there.
int choose_splits(const SingleQueryAttentionParams& p, int head_tiles, const DeviceInfo& device) {
  constexpr double kResidentPerSm = 3.0;    // blocks
  constexpr double kSaturatingPerSm = 1.1;  // blocks that use up the memory's bandwidth
  // Costs that do not depend on the length, in bytes of cache read meanwhile.
  constexpr double kWaveBytes = 32768, kClusterMergeBytes = 32768, kKernelMergeBytes = 98304;

  const int64_t rows = static_cast<int64_t>(p.batch) * p.kv_heads * head_tiles;
  const int64_t slots = std::min<int64_t>(std::max<int64_t>(p.timestep, 0) + 1, p.cache_len);
  const int64_t resident = static_cast<int64_t>(kResidentPerSm * device.sm_count);
  const double saturating = kSaturatingPerSm * device.sm_count;
  const double slot_bytes = 2.0 * p.head_dim * (p.dtype == DType::kFloat32 ? 4 : 2);

  const auto cost = [&](int splits) {
    const int64_t piece = ceil_div(ceil_div(slots, splits), attention::kSplitQuantum) * attention::kSplitQuantum;
    const int64_t blocks = rows * ceil_div(slots, piece), full_waves = blocks / resident, rest = blocks % resident;
    const double last_wave = rest > 0 ? std::max(static_cast<double>(rest), saturating) : 0.0;
    const double reading = (static_cast<double>(full_waves * resident) + last_wave) / saturating *
                           static_cast<double>(std::min(piece, slots)) * slot_bytes;
    const double merge = splits == 1                              ? 0.0
                         : splits <= attention::kMaxClusterSplits ? kClusterMergeBytes
                                                                  : kKernelMergeBytes;
    return reading + static_cast<double>(full_waves + (rest > 0)) * kWaveBytes + merge;
  };

  int best = 1;
  double best_cost = cost(1);
  const int64_t most = std::min<int64_t>(attention::kMaxSplits, ceil_div(slots, attention::kSplitQuantum));
  // Clusters of other sizes than powers of two leave multiprocessors idle: 6 blocks took 25% longer than 4.
  for (int splits = 2; splits <= most; splits += splits < attention::kMaxClusterSplits ? splits : 1) {
    if (const double c = cost(splits); c < best_cost) {
      best_cost = c;
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
  attend->head_tiles = static_cast<int>(ceil_div(attend->group_heads, attention::kMaxHeadsPerBlock));
  attend->splits = choose_splits(p, attend->head_tiles, device);
  attend->logit_scale = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(p.head_dim)));
  attend->rotary_turns = p.rotary_scale / kTwoPi;
  double power = p.rotary_dim > 0 ? std::pow(p.rotary_base, -2.0 / p.rotary_dim) : 1.0;
  for (double& entry : attend->rotary_powers) {
    entry = power;
    power *= power;
  }
  return cudaSuccess;
}

}  // namespace attention

size_t single_query_attention_workspace_bytes(const SingleQueryAttentionParams& params) {
  attention::AttendParams attend{};
  if (params.batch == 0 || !attention::is_valid(params) || attention::plan(params, &attend) != cudaSuccess ||
      attend.splits == 1)
    return 0;
  const int64_t outs = attention::partial_out_elems(params, attend.splits);
  return static_cast<size_t>(outs + outs / params.head_dim) * sizeof(float);
}

cudaError_t single_query_attention(const SingleQueryAttentionParams& params, void* workspace, cudaStream_t stream) {
  if (!attention::is_valid(params)) return cudaErrorInvalidValue;
  if (params.batch == 0) return cudaSuccess;
  attention::AttendParams attend{};
  if (const cudaError_t error = attention::plan(params, &attend); error != cudaSuccess) return error;
  if (attend.splits > 1) {
    if (workspace == nullptr || reinterpret_cast<uintptr_t>(workspace) % 16 != 0) return cudaErrorInvalidValue;
    attend.partial_out = static_cast<float*>(workspace);
    attend.partial_lse = attend.partial_out + attention::partial_out_elems(params, attend.splits);
  }
  switch (params.dtype) {
    case DType::kFloat16: return attention::attend_fp16(attend, stream);
    case DType::kBFloat16: return attention::attend_bf16(attend, stream);
    case DType::kFloat32: return attention::attend_fp32(attend, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace awq

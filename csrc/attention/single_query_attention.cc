#include "csrc/attention/single_query_attention.h"

#include <algorithm>
#include <cmath>

#include "csrc/attention/attend_params.h"
#include "csrc/common/device.h"

namespace awq {
namespace attention {

constexpr int64_t kMaxGridX = 0x7fffffff;

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

struct Split {
  int pieces;      // of a sequence, at most
  bool clustered;  // where there are clusters
};

// The pieces that give the least estimated time. Blocks run in waves; memory is the limit while enough of them are
// resident, and a last wave of few blocks runs at their own speed. Time is counted in bytes of cache read by one block
// at that speed (D = 128, fp16: 48 GB/s with the tensor cores' engine, read off launches of 8 to 256 blocks on an
// H200).
Split choose_split(const SingleQueryAttentionParams& p, int head_tiles, const DeviceInfo& device) {
  // Costs that do not depend on the length, in bytes of cache read meanwhile.
  constexpr double kWaveBytes = 32768, kClusterMergeBytes = 49152, kKernelMergeBytes = 163840;
  constexpr double kOneBlockPerSm = 1.03;  // time, where two can be resident

  const bool fp32 = p.dtype == DType::kFloat32;
  const int fitting = (device.max_smem_bytes_per_block + 1024) / attention::kTypicalSmemBytes;
  const int64_t resident = int64_t{fp32 ? 3 : std::max(fitting, 1)} * device.sm_count;
  const double saturating = (fp32 ? 1.1 : 0.7) * device.sm_count;  // blocks that use up the memory's bandwidth
  // The blocks of a cluster start together, on neighbouring multiprocessors: more of them leave places empty. Of 256
  // blocks in clusters of eight 16 had to wait for a second wave, although 264 places were there.
  const int64_t most_clustered = fp32 ? resident : device.sm_count;

  const int64_t rows = static_cast<int64_t>(p.batch) * p.kv_heads * head_tiles;
  const int64_t slots = std::min<int64_t>(std::max<int64_t>(p.timestep, 0) + 1, p.cache_len);
  const double slot_bytes = 2.0 * p.head_dim * (fp32 ? 4 : 2);

  const auto clustered = [&](int pieces) {  // other sizes than powers of two leave multiprocessors idle, too
    const bool power_of_two = (pieces & (pieces - 1)) == 0;
    return pieces > 1 && pieces <= attention::kMaxClusterSplits && power_of_two && rows * pieces <= most_clustered;
  };
  const auto cost = [&](int pieces) {
    const int64_t piece = round_up(ceil_div(slots, pieces), attention::kSplitQuantum);
    const int64_t blocks = rows * ceil_div(slots, piece), full_waves = blocks / resident, rest = blocks % resident;
    const double last_wave = rest > 0 ? std::max(static_cast<double>(rest), saturating) : 0.0;
    const double reading = (static_cast<double>(full_waves * resident) + last_wave) / saturating *
                           static_cast<double>(std::min(piece, slots)) * slot_bytes *
                           (blocks <= device.sm_count ? kOneBlockPerSm : 1.0);
    const double merge = pieces == 1 ? 0.0 : clustered(pieces) ? kClusterMergeBytes : kKernelMergeBytes;
    return reading + static_cast<double>(full_waves + (rest > 0)) * kWaveBytes + merge;
  };

  int best = 1;
  double best_cost = cost(1);
  const int64_t most = std::min<int64_t>(attention::kMaxSplits, ceil_div(slots, attention::kSplitQuantum));
  for (int pieces = 2; pieces <= most; ++pieces) {
    if (const double c = cost(pieces); c < best_cost) {
      best_cost = c;
      best = pieces;
    }
  }
  return {best, clustered(best)};
}

int64_t partial_out_elems(const SingleQueryAttentionParams& p, int splits) {
  return static_cast<int64_t>(p.batch) * p.heads * splits * p.head_dim;
}

// rotary_base^(-2 / rotary_dim), rounded from long double: glibc 2.29 renamed the double pow, so that a module with it
// loads on no older system. It takes a microsecond; a model asks for the same one with every token, hence the last is
// kept.
double rotary_ratio(double base, int dim) {
  thread_local double last_base = 0;
  thread_local int last_dim = 0;
  thread_local double ratio = 0;
  if (base != last_base || dim != last_dim) {
    ratio = static_cast<double>(std::pow(static_cast<long double>(base), static_cast<long double>(-2.0 / dim)));
    last_base = base;
    last_dim = dim;
  }
  return ratio;
}

// Divides the work; leaves the workspace pointers empty.
cudaError_t plan(const SingleQueryAttentionParams& p, AttendParams* attend) {
  DeviceInfo device{};
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  constexpr double kLog2E = 1.4426950408889634, kTwoPi = 6.283185307179586;
  attend->user = p;
  attend->group_heads = p.heads / p.kv_heads;
  attend->head_tiles = static_cast<int>(ceil_div(attend->group_heads, attention::kMaxHeadsPerBlock));
  const Split split = choose_split(p, attend->head_tiles, device);
  attend->splits = split.pieces;
  attend->clustered = split.clustered;
  attend->logit_scale = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(p.head_dim)));
  attend->rotary_turns = p.rotary_scale / kTwoPi;
  double power = p.rotary_dim > 0 ? rotary_ratio(p.rotary_base, p.rotary_dim) : 1.0;
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

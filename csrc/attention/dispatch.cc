// How the work of a call is divided, and the entry points.
#include "csrc/attention/dispatch.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "csrc/attention/attend_params.h"
#include "csrc/common/device.h"
#include "csrc/common/gpu.h"
#include "csrc/common/print_plan.h"

namespace awq {
namespace attention {

constexpr int64_t kMaxGridX = 0x7fffffff;

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kChunkBytes == 0; }

// What the contract asks of the parameters, pointers apart.
bool is_valid(const SingleQueryAttentionParams& p) {
  const bool valid_type =
      p.dtype == DType::kFloat16 || (p.dtype == DType::kBFloat16 && AWQ_ENABLE_BF16) || p.dtype == DType::kFloat32;
  const bool valid_head_dim = std::find(std::begin(kHeadDims), std::end(kHeadDims), p.head_dim) != std::end(kHeadDims);
  if (!valid_type || !valid_head_dim) return false;
  if (p.batch < 0 || p.kv_heads < 1 || p.heads < 1 || p.heads % p.kv_heads != 0 || p.cache_len < 1) return false;
  if (static_cast<int64_t>(p.batch) * p.heads > kMaxGridX) return false;
  return p.rotary_dim >= 0 && p.rotary_dim <= p.head_dim && p.rotary_dim % 2 == 0;
}

int group_heads(const SingleQueryAttentionParams& p) { return p.heads / p.kv_heads; }

// Blocks that share one key-value head.
int head_tiles(const SingleQueryAttentionParams& p) { return ceil_div(group_heads(p), kMaxHeadsPerBlock); }

struct Split {
  int pieces;      // of a sequence, at most
  bool clustered;  // where there are clusters
};

// The pieces that give the least estimated time. Blocks run in waves; memory is the limit while enough of them are
// resident, and a last wave of few blocks runs at their own speed. Time is counted in bytes of cache read by one block
// at that speed (D = 128, fp16: 48 GB/s with the tensor cores' engine, read off launches of 8 to 256 blocks on an
// H200).
Split choose_split(const SingleQueryAttentionParams& p, const DeviceInfo& device) {
  // Costs that do not depend on the length, in bytes of cache read meanwhile.
  constexpr double kWaveBytes = 32768, kClusterMergeBytes = 49152, kKernelMergeBytes = 163840;
  constexpr double kOneBlockPerSm = 1.03;  // time, where two can be resident

  const bool fp32 = p.dtype == DType::kFloat32;
  const int fitting = (device.max_smem_bytes_per_block + 1024) / kTypicalSmemBytes;
  const int64_t resident = int64_t{fp32 ? 3 : std::max(fitting, 1)} * device.sm_count;
  const double saturating = (fp32 ? 1.1 : 0.7) * device.sm_count;  // blocks that use up the memory's bandwidth
  // The blocks of a cluster start together, on neighbouring multiprocessors: more of them leave places empty. Of 256
  // blocks in clusters of eight 16 had to wait for a second wave, although 264 places were there.
  const int64_t most_clustered = fp32 ? resident : device.sm_count;

  const int64_t rows = static_cast<int64_t>(p.batch) * p.kv_heads * head_tiles(p);
  const int64_t slots = std::min<int64_t>(std::max<int64_t>(p.timestep, 0) + 1, p.cache_len);
  const double slot_bytes = 2.0 * p.head_dim * (fp32 ? 4 : 2);

  const auto clustered = [&](int pieces) {  // other sizes than powers of two leave multiprocessors idle, too
    const bool power_of_two = (pieces & (pieces - 1)) == 0;
    return pieces > 1 && pieces <= kMaxClusterSplits && power_of_two && rows * pieces <= most_clustered;
  };
  const auto cost = [&](int pieces) {
    const int64_t piece = round_up(ceil_div(slots, pieces), kSplitQuantum);
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
  const int64_t most = std::min<int64_t>(kMaxSplits, ceil_div(slots, kSplitQuantum));
  for (int pieces = 2; pieces <= most; ++pieces) {
    if (const double c = cost(pieces); c < best_cost) {
      best_cost = c;
      best = pieces;
    }
  }
  return {best, clustered(best)};
}

// Whether each block gets a multiprocessor of its own. Where there are no more blocks than multiprocessors, some blocks
// would otherwise share one and leave others empty: they start while the kernel before still holds a part of them.
// Clusters of more than two blocks may not find as many neighbours, hence the margin.
bool is_exclusive(const SingleQueryAttentionParams& p, const Split& split, const DeviceInfo& device) {
  if (p.dtype == DType::kFloat32 || device.max_smem_bytes_per_block < kExclusiveSmemBytes) return false;
  const int64_t blocks = static_cast<int64_t>(p.batch) * p.kv_heads * head_tiles(p) * split.pieces;
  const bool pairs = !split.clustered || split.pieces <= 2;
  return blocks <= (pairs ? device.sm_count : device.sm_count * 3 / 4);
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

// What the kernels take.
AttendParams to_attend_params(const SingleQueryAttentionParams& p, const SingleQueryAttentionPlan& plan,
                              void* workspace) {
  constexpr double kLog2E = 1.4426950408889634, kTwoPi = 6.283185307179586;
  AttendParams attend{};
  attend.user = p;
  attend.group_heads = group_heads(p);
  attend.head_tiles = head_tiles(p);
  attend.splits = plan.splits;
  attend.clustered = plan.clustered;
  attend.exclusive = plan.exclusive;
  attend.logit_scale = static_cast<float>(kLog2E / std::sqrt(static_cast<double>(p.head_dim)));
  attend.rotary_turns = p.rotary_scale / kTwoPi;
  double power = p.rotary_dim > 0 ? rotary_ratio(p.rotary_base, p.rotary_dim) : 1.0;
  for (double& entry : attend.rotary_powers) {
    entry = power;
    power *= power;
  }
  if (plan.splits > 1) {
    attend.partial_out = static_cast<float*>(workspace);
    attend.partial_lse = attend.partial_out + partial_out_elems(p, plan.splits);
  }
  return attend;
}

void print(const SingleQueryAttentionParams& p, const DeviceInfo& device, const SingleQueryAttentionPlan& plan) {
  const char* merge = plan.splits == 1 ? "" : plan.clustered ? " merged in a cluster" : " merged by a second kernel";
  print_plan(plan_text("attention ", dtype_name(p.dtype), " B=", p.batch, " H=", p.heads, " Hk=", p.kv_heads,
                       " D=", p.head_dim, " L=", p.cache_len, device_text(device)),
             plan_text(count_text(plan.splits, "piece"), merge, plan.exclusive ? ", one block to an SM" : "",
                       workspace_text(plan.workspace_bytes)),
             plan_text("(timestep ", p.timestep, ")"));
}

cudaError_t plan(const SingleQueryAttentionParams& params, const DeviceInfo& device, SingleQueryAttentionPlan* plan) {
  *plan = {};
  if (!is_valid(params)) return cudaErrorInvalidValue;
  if (params.batch == 0) return cudaSuccess;
  const Split split = choose_split(params, device);
  *plan = {split.pieces, split.clustered, is_exclusive(params, split, device), 0};
  if (split.pieces > 1) {
    const int64_t outs = partial_out_elems(params, split.pieces);
    plan->workspace_bytes = static_cast<size_t>(outs + outs / params.head_dim) * sizeof(float);
  }
  if (prints_plans()) print(params, device, *plan);
  return cudaSuccess;
}

}  // namespace attention

cudaError_t plan_single_query_attention(const SingleQueryAttentionParams& params, SingleQueryAttentionPlan* plan) {
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  return attention::plan(params, device, plan);
}

cudaError_t launch_single_query_attention(const SingleQueryAttentionParams& params,
                                          const SingleQueryAttentionPlan& plan, void* workspace, cudaStream_t stream) {
  using attention::is_aligned;
  if (params.batch == 0) return cudaSuccess;
  const bool workspace_fits = plan.workspace_bytes == 0 || (workspace != nullptr && is_aligned(workspace));
  if (plan.splits < 1 || !workspace_fits || !is_aligned(params.k_cache) || !is_aligned(params.v_cache)) {
    return cudaErrorInvalidValue;
  }
  const attention::AttendParams attend = attention::to_attend_params(params, plan, workspace);
  switch (params.dtype) {
    case DType::kFloat16: return attention::attend_fp16(attend, stream);
    case DType::kBFloat16: return attention::attend_bf16(attend, stream);
    case DType::kFloat32: return attention::attend_fp32(attend, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace awq

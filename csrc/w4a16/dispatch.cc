// Which kernel computes a product: what serves a problem, the tables that choose, and the entry points that read them.
#include "csrc/w4a16/dispatch.h"

#include <algorithm>
#include <limits>

#include "csrc/w4a16/configurations.h"
#include "csrc/w4a16/tuning_table.h"

namespace awq {
namespace w4a16 {

int64_t tiles(const Configuration& configuration, const Args& args) {
  const auto divide = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  return divide(args.n, configuration.channels) * divide(args.m, configuration.tokens);
}

bool serves(const Configuration& configuration, const Args& args, Variant variant, const DeviceInfo& device) {
  return configuration.launch[variant] != nullptr && (configuration.arch == 0 || configuration.arch == device.arch) &&
         args.m <= configuration.max_m && args.n >= configuration.min_n && args.n % configuration.n_multiple == 0 &&
         configuration.smem_bytes <= device.max_smem_bytes_per_block &&
         (configuration.fits == nullptr || configuration.fits(args, device.max_smem_bytes_per_block));
}

// As many splits as keep the grid within the waves, each long enough to be worth its start and its partial sums.
int splits(const Configuration& configuration, int waves, const Args& args, const DeviceInfo& device) {
  constexpr int64_t kMinSplitElems = 512;
  if (!configuration.splits_k) return 1;
  const int64_t blocks = int64_t{waves} * configuration.blocks_per_sm * device.sm_count;
  const int64_t fitting = blocks / tiles(configuration, args);
  return static_cast<int>(std::max<int64_t>(1, std::min(fitting, args.k / kMinSplitElems)));
}

W4A16Plan make_plan(const Configuration& configuration, int waves, const Args& args, const DeviceInfo& device) {
  W4A16Plan plan{&configuration, splits(configuration, waves, args, device), 0};
  if (plan.splits > 1) plan.workspace_bytes = sizeof(float) * plan.splits * args.m * args.n;
  return plan;
}

using Row = TuningRow<Configuration>;

// The row's plan if it is one for the problem.
bool try_row(const Row& row, const Args& args, Variant variant, const DeviceInfo& device, W4A16Plan* plan) {
  if (!row.holds(args.m, load_percent(args.m, args.n, device), args.k)) return false;
  if (!serves(*row.configuration, args, variant, device)) return false;
  *plan = make_plan(*row.configuration, row.waves, args, device);
  return true;
}

#if AWQ_W4A16_SM90
// Where the stream of weights is read from before the tables, which were measured without it: long rows of many
// channels. In a CUDA graph on an H200 it was the fastest configuration for up to 2, up to 4 and up to 8 rows from
// these loads on (22016, 28672 and 37888 channels), and no more at 14336 channels or K = 1536.
struct StreamRow {
  int64_t max_m, min_load_percent;
  const Configuration* configuration;

  bool holds(const Args& args, const DeviceInfo& device) const {
    constexpr int64_t kMinK = 2560;
    return args.m <= max_m && args.k >= kMinK && load_percent(args.m, args.n, device) >= min_load_percent;
  }
};
constexpr StreamRow kStreamRows[] = {
    {2, 125, &kGemvSm90Tokens2},
    {4, 125, &kGemvSm90Tokens4},
    {8, 165, &kGemvSm90Tokens8},
};
#endif

cudaError_t find_plan(const Args& args, Variant variant, const DeviceInfo& device, W4A16Plan* plan) {
#if AWQ_W4A16_SM90
  if (device.arch == 90) {
    for (const StreamRow& row : kStreamRows) {
      if (!row.holds(args, device) || !serves(*row.configuration, args, variant, device)) continue;
      *plan = make_plan(*row.configuration, /*waves=*/0, args, device);
      return cudaSuccess;
    }
    for (const Row& row : kSm90Table) {
      if (try_row(row, args, variant, device, plan)) return cudaSuccess;
    }
  }
#endif
  for (const Row& row : kTable) {
    if (try_row(row, args, variant, device, plan)) return cudaSuccess;
  }
  return cudaErrorInvalidValue;
}

bool valid_sizes(const Args& args, int group_size) {
  constexpr int64_t kMaxInt = std::numeric_limits<int>::max();  // counts of tiles and runs are int
  return args.m >= 0 && args.n > 0 && args.n % 4 == 0 && args.k > 0 && args.k % 64 == 0 && args.m <= kMaxInt &&
         args.n <= kMaxInt && args.k <= kMaxInt && args.k % group_size == 0;
}

// False where the contract refuses the parameters.
bool read_params(const W4A16V2Params& p, Args* args, Variant* variant) {
  const bool valid_group = p.group_size == 32 || p.group_size == 64 || (p.group_size > 0 && p.group_size % 128 == 0);
  const bool valid_type = p.dtype == DType::kFloat16 || p.dtype == DType::kBFloat16;
  if (!valid_group || !valid_type) return false;
  *variant = p.dtype == DType::kFloat16 ? kV2Fp16 : kV2Bf16;
  *args = {p.in,
           p.weights,
           p.scales,
           p.zeros,
           p.out,
           static_cast<float*>(p.workspace),
           p.m,
           p.n,
           p.k,
           /*scales_row_stride_elems=*/p.n,
           /*zeros_row_stride_elems=*/p.n,
           p.group_size / kRunElems,
           /*splits=*/1,
           p.constant_weights};
  return valid_sizes(*args, p.group_size);
}

bool read_params(const W4A16V1Params& p, Args* args, Variant* variant) {
  if (p.group_size != 64 && (p.group_size <= 0 || p.group_size % 128 != 0)) return false;
  *variant = kV1Fp16;
  *args = {p.in,
           p.weights,
           p.scales,
           p.zeros,
           p.out,
           static_cast<float*>(p.workspace),
           p.m,
           p.n,
           p.k,
           p.scales_row_stride_elems,
           p.zeros_row_stride_elems,
           p.group_size / kRunElems,
           /*splits=*/1,
           p.constant_weights};
  const int64_t groups = p.k / p.group_size;
  return valid_sizes(*args, p.group_size) && p.scales_row_stride_elems >= groups &&
         p.zeros_row_stride_elems >= (groups + 7) / 8;
}

// What the entry points of both layouts do once their parameters are read.

template <class Params>
cudaError_t plan_params(const Params& params, const DeviceInfo& device, W4A16Plan* plan) {
  Args args;
  Variant variant;
  *plan = {};
  if (!read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  if (variant == kV2Bf16 && device.arch < 80) return cudaErrorInvalidValue;
  if (args.m == 0) return cudaSuccess;  // zero rows need neither a kernel nor scratch memory
  return find_plan(args, variant, device, plan);
}

template <class Params>
cudaError_t plan_params_with(const Configuration& configuration, int waves, const Params& params,
                             const DeviceInfo& device, W4A16Plan* plan) {
  Args args;
  Variant variant;
  if (!read_params(params, &args, &variant) || !serves(configuration, args, variant, device)) {
    return cudaErrorInvalidValue;
  }
  *plan = make_plan(configuration, waves, args, device);
  return cudaSuccess;
}

template <class Params>
cudaError_t plan_here(const Params& params, W4A16Plan* plan) {
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  return plan_params(params, device, plan);
}

template <class Params>
cudaError_t multiply(const Params& params, const W4A16Plan& plan, cudaStream_t stream) {
  Args args;
  Variant variant;
  if (!read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  if (args.m == 0) return cudaSuccess;
  if (plan.configuration == nullptr || (plan.workspace_bytes > 0 && args.partials == nullptr)) {
    return cudaErrorInvalidValue;
  }
  args.splits = plan.splits;
  return plan.configuration->launch[variant](args, stream);
}

std::vector<const Configuration*> configurations() { return {std::begin(kConfigurations), std::end(kConfigurations)}; }

cudaError_t plan(const W4A16V2Params& params, const DeviceInfo& device, W4A16Plan* plan) {
  return plan_params(params, device, plan);
}

cudaError_t plan(const W4A16V1Params& params, const DeviceInfo& device, W4A16Plan* plan) {
  return plan_params(params, device, plan);
}

cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V2Params& params,
                      const DeviceInfo& device, W4A16Plan* plan) {
  return plan_params_with(configuration, waves, params, device, plan);
}

cudaError_t plan_with(const Configuration& configuration, int waves, const W4A16V1Params& params,
                      const DeviceInfo& device, W4A16Plan* plan) {
  return plan_params_with(configuration, waves, params, device, plan);
}

}  // namespace w4a16

cudaError_t w4a16_v2_plan(const W4A16V2Params& params, W4A16Plan* plan) { return w4a16::plan_here(params, plan); }

cudaError_t w4a16_v2(const W4A16V2Params& params, const W4A16Plan& plan, cudaStream_t stream) {
  return w4a16::multiply(params, plan, stream);
}

cudaError_t w4a16_v1_plan(const W4A16V1Params& params, W4A16Plan* plan) { return w4a16::plan_here(params, plan); }

cudaError_t w4a16_v1(const W4A16V1Params& params, const W4A16Plan& plan, cudaStream_t stream) {
  return w4a16::multiply(params, plan, stream);
}

}  // namespace awq

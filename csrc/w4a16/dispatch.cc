// Which kernel computes a product: what serves a problem, the tables that choose, and the entry points that read them.
#include "csrc/w4a16/dispatch.h"

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

#include "csrc/common/print_plan.h"
#include "csrc/w4a16/configurations.h"
#include "csrc/w4a16/tuning_table.h"

namespace awq {
namespace w4a16 {

int64_t tiles(const Configuration& configuration, const Args& args) {
  return ceil_div(args.n, configuration.channels) * ceil_div(args.m, configuration.tokens);
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
  W4A16Plan plan{&configuration, splits(configuration, waves, args, device), 0, device};
  if (plan.splits > 1) plan.workspace_bytes = sizeof(float) * plan.splits * args.m * args.n;
  return plan;
}

#if AWQ_W4A16_SM90
// What decoding takes before the tables are read, which were measured without it and not in a CUDA graph. In one, on an
// H200:
//   - the stream of weights was the fastest for long rows of many channels: for up to 2, up to 4 and up to 8 rows from
//     these loads on (22016, 28672 and 37888 channels), and no more at 14336 channels or K = 1536;
//   - of one row, small blocks were faster than large ones where all of them run at once and the large ones do not:
//     from 4224 to 8448 channels.
struct DecodeRow {
  int64_t max_m, min_load_percent, max_load_percent;
  const Configuration* configuration;

  bool holds(const Args& args, const DeviceInfo& device) const {
    constexpr int64_t kMinK = 2560;
    const int64_t load = load_percent(args.m, args.n, device);
    return args.m <= max_m && args.k >= kMinK && load >= min_load_percent && load <= max_load_percent;
  }
};
constexpr DecodeRow kDecodeRows[] = {
    {1, 26, 50, &kSingleRowGemvSmall},
    {2, 125, kAny, &kGemvSm90Tokens2},
    {4, 125, kAny, &kGemvSm90Tokens4},
    {8, 165, kAny, &kGemvSm90Tokens8},
};
#endif

struct Choice {
  const Configuration* configuration;  // null where nothing serves the problem
  int waves;
};

Choice choose(const Args& args, Variant variant, const DeviceInfo& device) {
  const auto of_table = [&](const auto& table) -> Choice {
    const auto* row = find_row(table, args.m, args.n, args.k, device, [&](const Configuration& configuration) {
      return serves(configuration, args, variant, device);
    });
    return row == nullptr ? Choice{} : Choice{row->configuration, row->waves};
  };
#if AWQ_W4A16_SM90
  if (device.arch == 90) {
    for (const DecodeRow& row : kDecodeRows) {
      if (row.holds(args, device) && serves(*row.configuration, args, variant, device)) return {row.configuration, 0};
    }
    if (const Choice choice = of_table(kSm90Table); choice.configuration != nullptr) return choice;
  }
#endif
  return of_table(kTable);
}

bool valid_sizes(int64_t m, int64_t n, int64_t k, int group_size) {
  constexpr int64_t kMaxInt = std::numeric_limits<int>::max();  // counts of tiles and runs are int
  return m >= 0 && n > 0 && n % 4 == 0 && k > 0 && k % 64 == 0 && m <= kMaxInt && n <= kMaxInt && k <= kMaxInt &&
         k % group_size == 0;
}

Variant variant_of(const W4A16V2Params& p) { return p.dtype == DType::kFloat16 ? kV2Fp16 : kV2Bf16; }
Variant variant_of(const W4A16V1Params&) { return kV1Fp16; }

// What the kernels take, for one part along K.
template <class Params>
Args to_args(const Params& p) {
  Args args{};
  args.in = p.in;
  args.weights = p.weights;
  args.scales = p.scales;
  args.zeros = p.zeros;
  args.out = p.out;
  args.m = p.m;
  args.n = p.n;
  args.k = p.k;
  if constexpr (std::is_same_v<Params, W4A16V2Params>) {
    args.scales_row_stride_elems = args.zeros_row_stride_elems = p.n;
  } else {
    args.scales_row_stride_elems = p.scales_row_stride_elems;
    args.zeros_row_stride_elems = p.zeros_row_stride_elems;
  }
  args.runs_per_group = p.group_size / kRunElems;
  args.splits = 1;
  args.constant_weights = p.constant_weights;
  return args;
}

// What the contract asks of the parameters, pointers apart.
bool is_valid(const W4A16V2Params& p, const DeviceInfo& device) {
  const bool valid_group = p.group_size == 32 || p.group_size == 64 || (p.group_size > 0 && p.group_size % 128 == 0);
  const bool valid_type = p.dtype == DType::kFloat16 || (p.dtype == DType::kBFloat16 && device.arch >= 80);
  return valid_group && valid_type && valid_sizes(p.m, p.n, p.k, p.group_size);
}

bool is_valid(const W4A16V1Params& p, const DeviceInfo&) {
  const bool valid_group = p.group_size == 64 || (p.group_size > 0 && p.group_size % 128 == 0);
  if (!valid_group || !valid_sizes(p.m, p.n, p.k, p.group_size)) return false;
  const int64_t groups = p.k / p.group_size;
  return p.scales_row_stride_elems >= groups && p.zeros_row_stride_elems >= ceil_div(groups, 8);
}

std::string kind_text(const W4A16V2Params& p) { return plan_text("4-bit v2 ", dtype_name(p.dtype)); }
std::string kind_text(const W4A16V1Params&) { return "4-bit v1 float16"; }

template <class Params>
void print(const Params& p, const W4A16Plan& plan) {
  print_plan(plan_text(kind_text(p), " M=", p.m, " N=", p.n, " K=", p.k, " G=", p.group_size, device_text(plan.device)),
             plan_text(plan.configuration->name, ", ", count_text(plan.splits, "part"), " of K",
                       workspace_text(plan.workspace_bytes)));
}

// What the entry points of both layouts do.

template <class Params>
cudaError_t plan_params(const Params& params, const DeviceInfo& device, W4A16Plan* plan) {
  *plan = {};
  if (!is_valid(params, device)) return cudaErrorInvalidValue;
  if (params.m == 0) return cudaSuccess;  // zero rows need neither a kernel nor scratch memory
  const Args args = to_args(params);
  const Choice choice = choose(args, variant_of(params), device);
  if (choice.configuration == nullptr) return cudaErrorInvalidValue;
  *plan = make_plan(*choice.configuration, choice.waves, args, device);
  if (prints_plans()) print(params, *plan);
  return cudaSuccess;
}

template <class Params>
cudaError_t plan_params_with(const Configuration& configuration, int waves, const Params& params,
                             const DeviceInfo& device, W4A16Plan* plan) {
  const Args args = to_args(params);
  if (!is_valid(params, device) || !serves(configuration, args, variant_of(params), device)) {
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
cudaError_t launch(const Params& params, const W4A16Plan& plan, void* workspace, cudaStream_t stream) {
  if (params.m == 0) return cudaSuccess;
  if (plan.configuration == nullptr || (plan.workspace_bytes > 0 && workspace == nullptr)) return cudaErrorInvalidValue;
  Args args = to_args(params);
  args.partials = static_cast<float*>(workspace);
  args.splits = plan.splits;
  return plan.configuration->launch[variant_of(params)](args, plan.device, stream);
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

cudaError_t plan_w4a16_v2(const W4A16V2Params& params, W4A16Plan* plan) { return w4a16::plan_here(params, plan); }

cudaError_t launch_w4a16_v2(const W4A16V2Params& params, const W4A16Plan& plan, void* workspace, cudaStream_t stream) {
  return w4a16::launch(params, plan, workspace, stream);
}

cudaError_t plan_w4a16_v1(const W4A16V1Params& params, W4A16Plan* plan) { return w4a16::plan_here(params, plan); }

cudaError_t launch_w4a16_v1(const W4A16V1Params& params, const W4A16Plan& plan, void* workspace, cudaStream_t stream) {
  return w4a16::launch(params, plan, workspace, stream);
}

}  // namespace awq

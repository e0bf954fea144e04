// Which kernel computes a product: what serves a problem, the tables that choose, and the entry points that read them.
#include "csrc/w8a8/dispatch.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "csrc/common/print_plan.h"
#include "csrc/common/tuning.h"
#include "csrc/w8a8/configurations.h"
#include "csrc/w8a8/tuning_table.h"

namespace awq {
namespace w8a8 {

bool is_aligned_to(const void* pointer, int bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

int64_t tiles(const Configuration& configuration, const W8A8GemmParams& p) {
  return ceil_div(p.m, configuration.tokens) * ceil_div(p.n, configuration.channels);
}

bool sizes_fit(const W8A8GemmParams& p) {
  const auto fits = [](int64_t size) { return size >= 0 && size <= INT32_MAX; };
  return fits(p.m) && fits(p.n) && fits(p.k) && p.k % kW8A8KAlignElems == 0;
}

// What launch_gemm_sm90 asks for.
bool sm90_serves(const W8A8GemmParams& p) {
  constexpr int64_t kMaxSize = int64_t{1} << 30;
  constexpr int kMinTileOutputs = 16 * 64;
  return p.k > 0 && p.n % 8 == 0 && is_aligned_to(p.out_feats, 16) && p.m <= kMaxSize && p.n <= kMaxSize &&
         p.k <= kMaxSize && ceil_div(p.m * p.n, kMinTileOutputs) <= kMaxSize;
}

bool serves(const Configuration& configuration, const W8A8GemmParams& p, const DeviceInfo& device) {
  if (configuration.arch != 0 && (configuration.arch != device.arch || !sm90_serves(p))) return false;
  return configuration.smem_bytes <= device.max_smem_bytes_per_block && tiles(configuration, p) <= INT32_MAX;
}

// Parts along K, as many as find room within the waves.
int splits(const Configuration& configuration, int waves, const W8A8GemmParams& p, const DeviceInfo& device) {
  constexpr int64_t kMaxSplits = 8;
  constexpr int64_t kMinStagesPerSplit = 4;  // below, filling the pipeline costs more than the split saves
  const int64_t blocks = int64_t{waves} * configuration.blocks_per_sm * device.sm_count;
  const int64_t stages = std::max<int64_t>(ceil_div(p.k, configuration.stage_k), 1);
  const int64_t wanted = std::min(blocks / tiles(configuration, p), stages / kMinStagesPerSplit);
  const int64_t stages_per_split = ceil_div(stages, std::clamp<int64_t>(wanted, 1, kMaxSplits));
  return static_cast<int>(ceil_div(stages, stages_per_split));  // none is empty
}

// Channels of a tile: as few as the rounds that the device needs anyway hold, so that all blocks read about as much.
int narrowed_channels(const Configuration& configuration, int waves, const W8A8GemmParams& p,
                      const DeviceInfo& device) {
  constexpr int64_t kUnit = 8;
  if (waves == 0) return configuration.channels;
  const int64_t rounds = std::max<int64_t>(waves, ceil_div(tiles(configuration, p), device.sm_count));
  const int64_t channel_tiles = rounds * device.sm_count / ceil_div(p.m, configuration.tokens);
  return static_cast<int>(round_up(ceil_div(p.n, channel_tiles), kUnit));
}

W8A8Plan make_plan(const Configuration& configuration, int waves, const W8A8GemmParams& p, const DeviceInfo& device) {
  W8A8Plan plan{&configuration, 1, configuration.channels, 0, device};
  if (configuration.narrows) {
    plan.channels = narrowed_channels(configuration, waves, p, device);
  } else {
    plan.splits = splits(configuration, waves, p, device);
    if (plan.splits > 1) {
      const int64_t count = tiles(configuration, p);
      plan.workspace_bytes = arrival_bytes(count) + count * plan.splits * configuration.tokens *
                                                        configuration.channels * static_cast<int64_t>(sizeof(int));
    }
  }
  return plan;
}

const TuningRow<Configuration>* choose(const W8A8GemmParams& p, const DeviceInfo& device) {
  const auto of_table = [&](const auto& table) {
    return find_row(table, p.m, p.n, p.k, device,
                    [&](const Configuration& configuration) { return serves(configuration, p, device); });
  };
#if AWQ_W8A8_SM90
  if (device.arch == 90) {
    if (const auto* row = of_table(kSm90Table)) return row;
  }
#endif
  return of_table(kTable);
}

void print(const W8A8GemmParams& p, const W8A8Plan& plan) {
  const std::string cut = plan.configuration->narrows ? plan_text("tiles of ", plan.channels, " channels")
                                                      : count_text(plan.splits, "part") + " of K";
  print_plan(plan_text("8-bit M=", p.m, " N=", p.n, " K=", p.k, device_text(plan.device)),
             plan_text(plan.configuration->name, ", ", cut, workspace_text(plan.workspace_bytes)));
}

std::vector<const Configuration*> configurations() { return {std::begin(kConfigurations), std::end(kConfigurations)}; }

cudaError_t plan(const W8A8GemmParams& params, const DeviceInfo& device, W8A8Plan* plan) {
  *plan = {};
  if (!sizes_fit(params)) return cudaErrorInvalidValue;
  if (params.m == 0 || params.n == 0) return cudaSuccess;
  const auto* row = choose(params, device);
  if (row == nullptr) return cudaErrorInvalidValue;
  *plan = make_plan(*row->configuration, row->waves, params, device);
  if (prints_plans()) print(params, *plan);
  return cudaSuccess;
}

cudaError_t plan_with(const Configuration& configuration, int waves, const W8A8GemmParams& params,
                      const DeviceInfo& device, W8A8Plan* plan) {
  if (!sizes_fit(params) || params.m == 0 || params.n == 0 || !serves(configuration, params, device)) {
    return cudaErrorInvalidValue;
  }
  *plan = make_plan(configuration, waves, params, device);
  return cudaSuccess;
}

}  // namespace w8a8

cudaError_t plan_w8a8_gemm(const W8A8GemmParams& params, W8A8Plan* plan) {
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  return w8a8::plan(params, device, plan);
}

cudaError_t launch_w8a8_gemm(const W8A8GemmParams& params, const W8A8Plan& plan, void* workspace, cudaStream_t stream) {
  const bool aligned = w8a8::is_aligned_to(params.in_feats, kW8A8PointerAlignBytes) &&
                       w8a8::is_aligned_to(params.kernel, kW8A8PointerAlignBytes) &&
                       w8a8::is_aligned_to(workspace, kW8A8PointerAlignBytes);
  if (!aligned) return cudaErrorInvalidValue;
  if (params.m == 0 || params.n == 0) return cudaSuccess;
  if (plan.configuration == nullptr || (plan.workspace_bytes > 0 && workspace == nullptr)) return cudaErrorInvalidValue;
  return plan.configuration->launch(params, plan, workspace, stream);
}

}  // namespace awq

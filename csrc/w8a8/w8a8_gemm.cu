// Which int8 product runs for which sizes, and its launch.
#include "csrc/common/device.h"
#include "csrc/w8a8/w8a8.h"
#include "csrc/w8a8/w8a8_mma.cuh"

// 1 where the build has the kernel that is compiled for Hopper alone.
#ifndef AWQ_W8A8_SM90
#define AWQ_W8A8_SM90 0
#endif
#if AWQ_W8A8_SM90
#include "csrc/w8a8/gemm_sm90.h"
#endif

namespace awq {
namespace w8a8 {

// ---- mma.sync: any device
// ---------------------------------------------------------------------------------------------

//                         M    N    K  stages  warps M, N, K  blocks per SM
using Skinny = MmaConfig<16, 32, 512, 4, 1, 2, 4, 2>;
using SkinnyWide = MmaConfig<16, 128, 256, 3, 1, 4, 2, 2>;
using Low = MmaConfig<64, 64, 256, 3, 2, 2, 2, 2>;
using LowWide = MmaConfig<64, 128, 128, 4, 1, 4, 1, 2>;
using Square = MmaConfig<128, 128, 128, 3, 2, 2, 1, 2>;
using Tall = MmaConfig<256, 128, 128, 4, 4, 2, 1, 1>;
using Compact = MmaConfig<64, 64, 64, 4, 2, 2, 1, 2>;

constexpr int kMaxSplits = 8;
constexpr int64_t kMinStagesPerSplit = 4;  // below, filling the pipeline costs more than the split saves
// Splits pay from four blocks per tile on: clearing the counters and passing the sums on costs some 2 us.
constexpr int64_t kMinSplits = 4;

// How a problem is cut: one line's tiles over the sizes and the device.
struct Plan {
  int64_t tiles_m, tiles_n;
  int64_t stages_per_split;
  int splits;
  size_t arrival_bytes;  // counters, at the start of the workspace
  size_t partial_bytes;

  size_t workspace_bytes() const { return splits > 1 ? arrival_bytes + partial_bytes : 0; }
};

template <typename Config>
Plan make_plan(const W8A8GemmParams& p, const DeviceInfo& device) {
  Plan plan{};
  plan.tiles_m = (p.m + Config::kTileM - 1) / Config::kTileM;
  plan.tiles_n = (p.n + Config::kTileN - 1) / Config::kTileN;
  const int64_t tiles = plan.tiles_m * plan.tiles_n;
  const int64_t stages = std::max<int64_t>((p.k + Config::kTileK - 1) / Config::kTileK, 1);
  // As many parts as find room at once: the machine's blocks over the tiles.
  const int64_t room = static_cast<int64_t>(device.sm_count) * Config::kBlocksPerSm / tiles;
  const int64_t wanted = std::min(room, stages / kMinStagesPerSplit);
  const int64_t splits = room < kMinSplits ? 1 : std::clamp<int64_t>(wanted, 1, kMaxSplits);
  plan.stages_per_split = (stages + splits - 1) / splits;
  plan.splits = static_cast<int>((stages + plan.stages_per_split - 1) / plan.stages_per_split);  // none is empty
  plan.arrival_bytes = (tiles * sizeof(unsigned) + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
  plan.partial_bytes = static_cast<size_t>(tiles) * plan.splits * Config::kTileM * Config::kTileN * sizeof(int);
  return plan;
}

template <typename Config>
cudaError_t launch(const W8A8GemmParams& p, const Plan& plan, void* workspace, cudaStream_t stream) {
  MmaParams q{};
  q.in_feats = p.in_feats;
  q.kernel = p.kernel;
  q.wscales = static_cast<const __half*>(p.wscales);
  q.ascales = static_cast<const __half*>(p.ascales);
  q.bias = static_cast<const __half*>(p.bias);
  q.out = static_cast<__half*>(p.out_feats);
  q.m = p.m;
  q.n = p.n;
  q.k = p.k;
  q.tiles_m = plan.tiles_m;
  q.tiles_n = plan.tiles_n;
  q.stages_per_split = plan.stages_per_split;
  q.splits = plan.splits;
  q.whole_rows = p.n % kVecElems<__half> == 0 && is_aligned(p.out_feats);
  const int64_t tiles = plan.tiles_m * plan.tiles_n;
  if (tiles > INT32_MAX) return cudaErrorInvalidValue;
  if (plan.splits > 1) {
    if (workspace == nullptr) return cudaErrorInvalidValue;
    q.arrivals = static_cast<unsigned*>(workspace);
    q.partial_sums = reinterpret_cast<int4*>(static_cast<char*>(workspace) + plan.arrival_bytes);
    if (const cudaError_t error = cudaMemsetAsync(workspace, 0, plan.arrival_bytes, stream); error != cudaSuccess) {
      return error;
    }
  }

  const auto kernel = w8a8::w8a8_mma_kernel<Config>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSmemBytes);
      error != cudaSuccess) {
    return error;
  }
  kernel<<<dim3(static_cast<unsigned>(tiles), plan.splits), Config::kThreads, Config::kSmemBytes, stream>>>(q);
  return checked_launch();
}

// One line of the dispatch table.
struct Choice {
  int64_t max_m;
  bool fills;  // only if there is a tile for every multiprocessor
  int smem_bytes;
  Plan (*plan)(const W8A8GemmParams&, const DeviceInfo&);
  cudaError_t (*launch)(const W8A8GemmParams&, const Plan&, void*, cudaStream_t);
};

template <typename Config>
constexpr Choice choice(int64_t max_m, bool fills) {
  return {max_m, fills, Config::kSmemBytes, make_plan<Config>, launch<Config>};
}

// The first line that holds m, whose tiles fill the machine where that is asked, and whose shared memory the device
// has. Times on an H200 in us.
constexpr Choice kChoices[] = {
    choice<SkinnyWide>(16, true),       // N 28672, K 4096, M 16: 41
    choice<Skinny>(16, false),          // N 4096, K 4096, M 16: 12 (SkinnyWide has 32 tiles)
    choice<LowWide>(64, true),          // N 28672, K 4096, M 64: 45 against 46 with Low
    choice<Square>(2048, true),         // N 28672, K 4096, M 1024: 297 against 308 with Tall
    choice<Low>(512, false),            // N 4096, K 4096, M 128: 17.5 against 25 with Square, split
    choice<Tall>(INT64_MAX, false),     // N 28672, K 4096, M 16384: 4598 against 4874 with Square
    choice<Square>(INT64_MAX, false),   // devices of about 100 KB of shared memory per block
    choice<Compact>(INT64_MAX, false),  // sm_75: 64 KB
};

const Choice* find_choice(const W8A8GemmParams& p, const DeviceInfo& device) {
  for (const Choice& choice : kChoices) {
    if (p.m > choice.max_m || choice.smem_bytes > device.max_smem_bytes_per_block) continue;
    const Plan plan = choice.plan(p, device);
    if (!choice.fills || plan.tiles_m * plan.tiles_n >= device.sm_count) return &choice;
  }
  return nullptr;
}

// ---- Hopper's kernel
// --------------------------------------------------------------------------------------------------

#if AWQ_W8A8_SM90
// One line of Hopper's table: tiles of one number of tokens.
struct Sm90Choice {
  int tokens;
  bool one_tile;  // for as many rows as a tile has, no more; else any number
  bool spreads;   // tiles have fewer channels than they can where that shares them out more evenly
  int tile_cost;
  int max_channels;
  int narrow_channels;  // up to so many, the first launch
  cudaError_t (*launch_narrow)(const W8A8GemmParams&, int, cudaStream_t);
  cudaError_t (*launch)(const W8A8GemmParams&, int, cudaStream_t);
};

template <typename Narrow, typename Wide>
constexpr Sm90Choice sm90_choice(bool one_tile, bool spreads, int tile_cost) {
  static_assert(Narrow::kTokens == Wide::kTokens && Narrow::kSmemBytes == Wide::kSmemBytes, "one line");
  return {Wide::kTokens,
          one_tile,
          spreads,
          tile_cost,
          Wide::kMaxChannels,
          Narrow::kMaxChannels,
          launch_gemm_sm90<Narrow>,
          launch_gemm_sm90<Wide>};
}

// The line is taken whose tiles need the least time: rounds over the machine times the cost of a tile, in percent of
// one of 128 tokens. Measured with many rounds of each (4096 rows of 28672 x 4096: 55 rounds of 11.6 us, 28 of 21.8;
// 512 rows of 6144 x 4096: 3 rounds of tiles of 64 tokens take as long as 2 of 128). Up to 32 rows, reading the weights
// takes all the time, and the costs only say which line comes first. More in docs/kernels/w8a8.md.
constexpr Sm90Choice kSm90Choices[] = {
    sm90_choice<GemmSm90Tokens16, GemmSm90Tokens16Wide>(/*one_tile=*/true, /*spreads=*/true, 50),
    sm90_choice<GemmSm90Tokens32, GemmSm90Tokens32Wide>(true, true, 55),
    sm90_choice<GemmSm90Tokens64, GemmSm90Tokens64Wide>(false, true, 65),
    sm90_choice<GemmSm90Tokens128, GemmSm90Tokens128>(false, false, 100),
    sm90_choice<GemmSm90Tokens256, GemmSm90Tokens256>(false, false, 187),
};

// How a problem is cut on Hopper.
struct Sm90Plan {
  const Sm90Choice* choice;  // null where the kernel does not serve the problem
  int channels;              // of a tile
};

Sm90Plan make_sm90_plan(const W8A8GemmParams& p, const DeviceInfo& device) {
  constexpr int64_t kMaxSize = int64_t{1} << 30;
  Sm90Plan plan{};
  if (device.arch != 90 || device.max_smem_bytes_per_block < GemmSm90Tokens16::kSmemBytes || p.k == 0 ||
      p.n % kVecElems<__half> != 0 || !is_aligned(p.out_feats) || p.m > kMaxSize || p.n > kMaxSize || p.k > kMaxSize) {
    return plan;
  }
  const auto divide = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  int64_t least_cost = INT64_MAX;
  for (const Sm90Choice& choice : kSm90Choices) {
    const int64_t token_tiles = divide(p.m, choice.tokens);
    if (token_tiles > 1 && choice.one_tile) continue;
    const int64_t tiles = token_tiles * divide(p.n, choice.max_channels);
    const int64_t rounds = divide(tiles, device.sm_count);
    if (tiles > kMaxSize || rounds * choice.tile_cost >= least_cost) continue;
    least_cost = rounds * choice.tile_cost;
    // As many tiles as these rounds hold, so that all blocks read about as much.
    const int64_t channel_tiles = rounds * device.sm_count / token_tiles;
    const int64_t spread_channels = divide(divide(p.n, channel_tiles), kVecElems<__half>) * kVecElems<__half>;
    plan = {&choice, choice.spreads ? static_cast<int>(spread_channels) : choice.max_channels};
  }
  return plan;
}

cudaError_t launch(const W8A8GemmParams& p, const Sm90Plan& plan, cudaStream_t stream) {
  const Sm90Choice& choice = *plan.choice;
  return (plan.channels <= choice.narrow_channels ? choice.launch_narrow : choice.launch)(p, plan.channels, stream);
}
#endif

// ---- Both
// -------------------------------------------------------------------------------------------------------------

bool sizes_fit(const W8A8GemmParams& p) {
  const auto fits = [](int64_t size) { return size >= 0 && size <= INT32_MAX; };
  return fits(p.m) && fits(p.n) && fits(p.k) && p.k % kW8A8KAlignElems == 0;
}

}  // namespace w8a8

size_t w8a8_gemm_workspace_bytes(const W8A8GemmParams& params) {
  DeviceInfo device;
  if (!w8a8::sizes_fit(params) || params.m == 0 || params.n == 0) return 0;
  if (current_device_info(&device) != cudaSuccess) return 0;  // the launch will report it
#if AWQ_W8A8_SM90
  if (w8a8::make_sm90_plan(params, device).choice != nullptr) return 0;
#endif
  const w8a8::Choice* const choice = w8a8::find_choice(params, device);
  return choice == nullptr ? 0 : choice->plan(params, device).workspace_bytes();
}

cudaError_t launch_w8a8_gemm(const W8A8GemmParams& params, void* workspace, cudaStream_t stream) {
  const bool aligned = is_aligned(params.in_feats, kW8A8PointerAlignBytes) &&
                       is_aligned(params.kernel, kW8A8PointerAlignBytes) && is_aligned(workspace);
  if (!w8a8::sizes_fit(params) || !aligned) return cudaErrorInvalidValue;
  if (params.m == 0 || params.n == 0) return cudaSuccess;
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
#if AWQ_W8A8_SM90
  if (const w8a8::Sm90Plan plan = w8a8::make_sm90_plan(params, device); plan.choice != nullptr) {
    return w8a8::launch(params, plan, stream);
  }
#endif
  const w8a8::Choice* const choice = w8a8::find_choice(params, device);
  if (choice == nullptr) return cudaErrorInvalidValue;
  return choice->launch(params, choice->plan(params, device), workspace, stream);
}

}  // namespace awq

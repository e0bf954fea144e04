// Which kernel computes a product: the family's one dispatch table, and the entry points that read it.
#include <algorithm>
#include <limits>

#include "csrc/common/device.h"
#include "csrc/w4a16/launch.h"
#include "csrc/w4a16/w4a16.h"

// 1 where the build has the kernels that are compiled for Hopper alone.
#ifndef AWQ_W4A16_SM90
#define AWQ_W4A16_SM90 0
#endif
#if AWQ_W4A16_SM90
#include "csrc/w4a16/gemm_sm90.h"
#endif

// Only named here, as template arguments; their headers are device code.
struct __half;
struct __nv_bfloat16;

namespace awq {
namespace w4a16 {

using Launch = cudaError_t (*)(const Args&, cudaStream_t);

enum Variant { kV2Fp16, kV2Bf16, kV1Fp16, kVariants };

struct Row {
  int64_t max_m;             // the row serves up to this many activation rows
  int64_t min_n;             // and from this many channels on,
  int min_blocks_per_sm;     // if its grid fills the GPU so far
  int smem_bytes;            // and the GPU has as much shared memory for a block
  int channels, tokens;      // tile of a block
  int blocks_per_sm;         // that run at a time
  bool splits_k;             // few tiles may share out K over blocks, at the price of a second kernel
  Launch launch[kVariants];  // null where the row has no kernel
  int arch = 0;              // the only one it runs on, or 0
  int n_multiple = 4;        // the row serves channel counts that are multiples of this
  bool (*fits)(const Args&, int64_t max_smem_bytes_per_block) = nullptr;  // and what else the kernel asks for
};

constexpr int64_t kAnyM = std::numeric_limits<int64_t>::max();

#if AWQ_ENABLE_BF16
#define AWQ_VARIANTS(launch, Config) \
  {launch<Config, __half, LayoutV2>, launch<Config, __nv_bfloat16, LayoutV2>, launch<Config, __half, LayoutV1>}
#else
#define AWQ_VARIANTS(launch, Config) {launch<Config, __half, LayoutV2>, nullptr, launch<Config, __half, LayoutV1>}
#endif

template <class Config>
constexpr Row gemv_row(int64_t max_m, int min_blocks_per_sm) {
  return {max_m,
          Config::kChannels,
          min_blocks_per_sm,
          0,
          Config::kChannels,
          Config::kTokens,
          Config::kBlocksPerSm,
          false,
          AWQ_VARIANTS(launch_gemv, Config)};
}

template <class Config>
constexpr Row single_row_gemv_row() {
  return {/*max_m=*/1,
          Config::kChannels,
          0,
          0,
          Config::kChannels,
          Config::kTokens,
          Config::kBlocksPerSm,
          false,
          AWQ_VARIANTS(launch_single_row_gemv, Config),
          /*arch=*/0,
          /*n_multiple=*/4,
          Config::fits};
}

template <class Config>
constexpr Row persistent_gemv_row(int min_blocks_per_sm) {
  return {Config::kTokens,
          Config::kChannels,
          min_blocks_per_sm,
          0,
          Config::kChannels,
          Config::kTokens,
          Config::kBlocksPerSm,
          false,
          AWQ_VARIANTS(launch_persistent_gemv, Config),
          /*arch=*/0,
          /*n_multiple=*/4,
          Config::fits};
}

template <class Config>
constexpr Row gemm_row(int64_t max_m) {
  return {max_m,
          1,
          0,
          Config::kSmemBytes,
          Config::kChannels,
          Config::kTokens,
          Config::kBlocksPerSm,
          true,
          AWQ_VARIANTS(launch_gemm, Config)};
}

#if AWQ_W4A16_SM90
template <class Config>
constexpr Row gemm_sm90_row(int64_t max_m) {
  return {max_m,
          1,
          0,
          Config::kSmemBytes,
          Config::kChannels,
          Config::kTokens,
          Config::kBlocksPerSm,
          true,
          AWQ_VARIANTS(launch_gemm_sm90, Config),
          /*arch=*/90,
          /*n_multiple=*/8};  // rows of results that the copy engine can address
}
#endif

// The first row that fits is taken. Times: H200, cold L2, microseconds for fp16, layout v2, G = 128.
constexpr Row kTable[] = {
    // Bound by reading the weights. One row:
    //                    N x K:  28672 x 4096  6144 x 4096  4096 x 4096  4096 x 14336
    //   tiles of 32 per SM:               6.8         1.45         0.97          0.97
    //   SingleRowGemv:                   24.1         10.1          8.4          14.7
    //   the same, 4 blocks of 8 warps:   24.8         10.2          9.1          16.4
    //   PersistentGemv1:                 25.9         12.1          9.8          17.5
    //   Gemv8Small:                      26.8         12.8         12.4          29.2
    //   Gemv8Medium:                     27.5         11.0          9.8          19.5
    //   Gemv8Large:                      31.8         12.9          9.3          16.1
    //   weights and scales read only:    22.5          9.2          7.9          13.8
    single_row_gemv_row<SingleRowGemv>(),
    // One row in groups shorter than a step.
    persistent_gemv_row<PersistentGemv1>(4),
    gemv_row<Gemv8Small>(8, 4),
    gemv_row<Gemv8Medium>(8, 1),
    gemv_row<Gemv8Large>(8, 0),
    // 16 rows: 32.2, 14.7, 11.4; where K is too long, 20.1. Activations read again for every tile, by 12 warps: 38.5,
    // 16.9, 11.9, 22.3. Blocks that do not stay: 44.9, 17.1 and, for 4096 x 14336, 24.1 at their best sizes.
    persistent_gemv_row<PersistentGemv16>(0),
    persistent_gemv_row<PersistentGemv16LongK>(0),
#if AWQ_W4A16_SM90
    // Hopper. As many tokens as there are, up to 128; then the tile with fewer channels, because an instruction of
    // twice the tokens leaves twice the time for dequantizing (1024 rows of 28672 x 4096: 368, with 128 tokens 389),
    // unless half of its tokens would be padding (384 rows: 189, with 128 tokens 153).
    gemm_sm90_row<GemmSm90Tokens32>(32),
    gemm_sm90_row<GemmSm90Tokens64>(64),
    gemm_sm90_row<GemmSm90Tokens128>(128),
    gemm_sm90_row<GemmSm90Tokens256>(256),
    gemm_sm90_row<GemmSm90Tokens128>(384),
    gemm_sm90_row<GemmSm90Tokens256>(kAnyM),
#endif
    // So much activation data per weight that it has to be shared by many channels, in shared memory.
    gemm_row<Gemm32>(32),
    gemm_row<Gemm64>(64),
    // Bound by the tensor cores: the largest tile of which two fit an SM, so that one dequantizes while the other
    // multiplies. 1024 rows of 28672 x 4096: 696, against 718 with one block of 256 x 128.
    gemm_row<Gemm128>(kAnyM),
    // The same where shared memory is small.
    gemm_row<Gemm64>(kAnyM),
};

int64_t tiles(const Row& row, const Args& args) {
  return (args.n + row.channels - 1) / row.channels * ((args.m + row.tokens - 1) / row.tokens);
}

const Row* find_row(const Args& args, Variant variant, const DeviceInfo& device) {
  for (const Row& row : kTable) {
    if (row.launch[variant] != nullptr && (row.arch == 0 || row.arch == device.arch) && args.m <= row.max_m &&
        args.n >= row.min_n && args.n % row.n_multiple == 0 && row.smem_bytes <= device.max_smem_bytes_per_block &&
        tiles(row, args) >= int64_t{row.min_blocks_per_sm} * device.sm_count &&
        (row.fits == nullptr || row.fits(args, device.max_smem_bytes_per_block))) {
      return &row;
    }
  }
  return nullptr;
}

// As many splits as keep the grid within one wave, each long enough to be worth its start and its partial sums.
int splits(const Row& row, const Args& args, const DeviceInfo& device) {
  constexpr int64_t kMinSplitElems = 512;
  if (!row.splits_k) return 1;
  const int64_t fitting = int64_t{row.blocks_per_sm} * device.sm_count / tiles(row, args);
  return static_cast<int>(std::max<int64_t>(1, std::min(fitting, args.k / kMinSplitElems)));
}

struct Plan {
  const Row* row;
  size_t workspace_bytes;
};

cudaError_t make_plan(Args* args, Variant variant, Plan* plan) {
  DeviceInfo device;
  if (const cudaError_t error = current_device_info(&device); error != cudaSuccess) return error;
  plan->row = find_row(*args, variant, device);
  if (plan->row == nullptr || (variant == kV2Bf16 && device.arch < 80)) return cudaErrorInvalidValue;
  args->splits = splits(*plan->row, *args, device);
  plan->workspace_bytes = args->splits == 1 ? 0 : sizeof(float) * args->splits * args->m * args->n;
  return cudaSuccess;
}

bool valid_sizes(const Args& args, int group_size) {
  constexpr int64_t kMaxInt = std::numeric_limits<int>::max();  // counts of tiles and runs are int
  return args.m >= 0 && args.n > 0 && args.n % 4 == 0 && args.k > 0 && args.k % 64 == 0 && args.m <= kMaxInt &&
         args.n <= kMaxInt && args.k <= kMaxInt && args.k % group_size == 0;
}

// Zero rows need neither a kernel nor scratch memory.
cudaError_t find_workspace(Args args, Variant variant, size_t* bytes) {
  *bytes = 0;
  if (args.m == 0) return cudaSuccess;
  Plan plan;
  const cudaError_t error = make_plan(&args, variant, &plan);
  if (error == cudaSuccess) *bytes = plan.workspace_bytes;
  return error;
}

cudaError_t multiply(Args args, Variant variant, cudaStream_t stream) {
  if (args.m == 0) return cudaSuccess;
  Plan plan;
  if (const cudaError_t error = make_plan(&args, variant, &plan); error != cudaSuccess) return error;
  if (plan.workspace_bytes > 0 && args.partials == nullptr) return cudaErrorInvalidValue;
  return plan.row->launch[variant](args, stream);
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
           /*splits=*/1};
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
           /*splits=*/1};
  const int64_t groups = p.k / p.group_size;
  return valid_sizes(*args, p.group_size) && p.scales_row_stride_elems >= groups &&
         p.zeros_row_stride_elems >= (groups + 7) / 8;
}

}  // namespace w4a16

cudaError_t w4a16_v2_workspace_bytes(const W4A16V2Params& params, size_t* bytes) {
  w4a16::Args args;
  w4a16::Variant variant;
  if (!w4a16::read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  return w4a16::find_workspace(args, variant, bytes);
}

cudaError_t w4a16_v2(const W4A16V2Params& params, cudaStream_t stream) {
  w4a16::Args args;
  w4a16::Variant variant;
  if (!w4a16::read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  return w4a16::multiply(args, variant, stream);
}

cudaError_t w4a16_v1_workspace_bytes(const W4A16V1Params& params, size_t* bytes) {
  w4a16::Args args;
  w4a16::Variant variant;
  if (!w4a16::read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  return w4a16::find_workspace(args, variant, bytes);
}

cudaError_t w4a16_v1(const W4A16V1Params& params, cudaStream_t stream) {
  w4a16::Args args;
  w4a16::Variant variant;
  if (!w4a16::read_params(params, &args, &variant)) return cudaErrorInvalidValue;
  return w4a16::multiply(args, variant, stream);
}

}  // namespace awq

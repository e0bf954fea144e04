// The configurations that the tuning table may choose, made from the lists in tiles.h. Host code.
#pragma once

#include "csrc/w4a16/dispatch.h"
#include "csrc/w4a16/tiles.h"

// 1 if the build has the kernels that are compiled for Hopper alone.
#ifndef AWQ_W4A16_SM90
#define AWQ_W4A16_SM90 0
#endif

// These types are only template arguments here. Their headers are device code.
struct __half;
struct __nv_bfloat16;

namespace awq::w4a16 {

#if AWQ_ENABLE_BF16
#define AWQ_BF16(launch) launch
#else
#define AWQ_BF16(launch) nullptr
#endif
#define AWQ_V2(launch, Config) launch<Config, __half, LayoutV2>, AWQ_BF16((launch<Config, __nv_bfloat16, LayoutV2>))
#define AWQ_VARIANTS(launch, Config) {AWQ_V2(launch, Config), launch<Config, __half, LayoutV1>}

// A row for each kernel of tiles.h.

template <class Config>
constexpr Configuration gemv(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm, AWQ_VARIANTS(launch_gemv, Config)};
  row.max_m = 2 * Config::kTokens;
  row.min_n = Config::kChannels;
  return row;
}

template <class Config>
constexpr Configuration single_row_gemv(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm,
                    AWQ_VARIANTS(launch_single_row_gemv, Config)};
  row.max_m = 1;
  row.min_n = Config::kChannels;
  row.fits = Config::fits;
  return row;
}

template <class Config>
constexpr Configuration persistent_gemv(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm,
                    AWQ_VARIANTS(launch_persistent_gemv, Config)};
  row.max_m = Config::kTokens;
  row.min_n = Config::kChannels;
  row.fits = Config::fits;
  return row;
}

template <class Config>
constexpr Configuration gemv_sm90(const char* name) {
  Configuration row{
      name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm, {AWQ_V2(launch_gemv_sm90, Config), nullptr}};
  row.max_m = Config::kTokens;
  row.min_n = Config::kChannels;
  row.smem_bytes = Config::kMaxSmemBytes;
  row.arch = 90;
  row.fits = Config::fits;
  return row;
}

template <class Config>
constexpr Configuration gemm(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm, AWQ_VARIANTS(launch_gemm, Config)};
  row.smem_bytes = Config::kSmemBytes;
  row.splits_k = true;
  return row;
}

template <class Config>
constexpr Configuration gemm_sm90(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm,
                    AWQ_VARIANTS(launch_gemm_sm90, Config)};
  row.n_multiple = 8;  // rows of results that the copy engine can address
  row.smem_bytes = Config::kSmemBytes;
  row.arch = 90;
  row.splits_k = true;
  return row;
}

#undef AWQ_VARIANTS
#undef AWQ_V2
#undef AWQ_BF16

#if AWQ_W4A16_SM90
#define AWQ_TILES(X)           \
  AWQ_W4A16_GEMV_TILES(X)      \
  AWQ_W4A16_GEMM_TILES(X)      \
  AWQ_W4A16_GEMV_SM90_TILES(X) \
  AWQ_W4A16_GEMM_SM90_TILES(X)
#else
#define AWQ_TILES(X)      \
  AWQ_W4A16_GEMV_TILES(X) \
  AWQ_W4A16_GEMM_TILES(X)
#endif

#define AWQ_ROW(name, kernel, ...) inline constexpr Configuration k##name = kernel<name>(#name);
AWQ_TILES(AWQ_ROW)

#define AWQ_ADDRESS(name, kernel, ...) &k##name,
inline constexpr const Configuration* kConfigurations[] = {AWQ_TILES(AWQ_ADDRESS)};

#undef AWQ_ADDRESS
#undef AWQ_ROW
#undef AWQ_TILES

}  // namespace awq::w4a16

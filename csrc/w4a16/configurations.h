// What the tuning table may choose among. Host code.
#pragma once

#include "csrc/w4a16/dispatch.h"
#include "csrc/w4a16/launch.h"

// 1 where the build has the kernels that are compiled for Hopper alone.
#ifndef AWQ_W4A16_SM90
#define AWQ_W4A16_SM90 0
#endif
#if AWQ_W4A16_SM90
#include "csrc/w4a16/gemm_sm90.h"
#include "csrc/w4a16/gemv_sm90.h"
#endif

// Only named here, as template arguments; their headers are device code.
struct __half;
struct __nv_bfloat16;

namespace awq::w4a16 {

#if AWQ_ENABLE_BF16
#define AWQ_VARIANTS(launch, Config) \
  {launch<Config, __half, LayoutV2>, launch<Config, __nv_bfloat16, LayoutV2>, launch<Config, __half, LayoutV1>}
#else
#define AWQ_VARIANTS(launch, Config) {launch<Config, __half, LayoutV2>, nullptr, launch<Config, __half, LayoutV1>}
#endif

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
constexpr Configuration gemm(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm, AWQ_VARIANTS(launch_gemm, Config)};
  row.smem_bytes = Config::kSmemBytes;
  row.splits_k = true;
  return row;
}

inline constexpr Configuration kSingleRowGemv = single_row_gemv<SingleRowGemv>("SingleRowGemv");
inline constexpr Configuration kPersistentGemv16 = persistent_gemv<PersistentGemv16>("PersistentGemv16");
inline constexpr Configuration kPersistentGemv16LongK = persistent_gemv<PersistentGemv16LongK>("PersistentGemv16LongK");
inline constexpr Configuration kGemv8Small = gemv<Gemv8Small>("Gemv8Small");
inline constexpr Configuration kGemv8Medium = gemv<Gemv8Medium>("Gemv8Medium");
inline constexpr Configuration kGemv8Large = gemv<Gemv8Large>("Gemv8Large");
inline constexpr Configuration kGemm32 = gemm<Gemm32>("Gemm32");
inline constexpr Configuration kGemm64 = gemm<Gemm64>("Gemm64");
inline constexpr Configuration kGemm128 = gemm<Gemm128>("Gemm128");

#if AWQ_W4A16_SM90
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

// Layout v2 alone.
template <class Config>
constexpr Configuration gemv_sm90(const char* name) {
  Configuration row{name, Config::kChannels, Config::kTokens, Config::kBlocksPerSm, {}};
  row.launch[kV2Fp16] = launch_gemv_sm90<Config, __half, LayoutV2>;
#if AWQ_ENABLE_BF16
  row.launch[kV2Bf16] = launch_gemv_sm90<Config, __nv_bfloat16, LayoutV2>;
#endif
  row.max_m = Config::kTokens;
  row.min_n = Config::kChannels;
  row.smem_bytes = Config::kMaxSmemBytes;
  row.arch = 90;
  row.fits = Config::fits;
  return row;
}

inline constexpr Configuration kGemvSm90Tokens2 = gemv_sm90<GemvSm90Tokens2>("GemvSm90Tokens2");
inline constexpr Configuration kGemvSm90Tokens4 = gemv_sm90<GemvSm90Tokens4>("GemvSm90Tokens4");
inline constexpr Configuration kGemvSm90Tokens8 = gemv_sm90<GemvSm90Tokens8>("GemvSm90Tokens8");
inline constexpr Configuration kGemmSm90Tokens16 = gemm_sm90<GemmSm90Tokens16>("GemmSm90Tokens16");
inline constexpr Configuration kGemmSm90Tokens32 = gemm_sm90<GemmSm90Tokens32>("GemmSm90Tokens32");
inline constexpr Configuration kGemmSm90Tokens64 = gemm_sm90<GemmSm90Tokens64>("GemmSm90Tokens64");
inline constexpr Configuration kGemmSm90Tokens64Narrow = gemm_sm90<GemmSm90Tokens64Narrow>("GemmSm90Tokens64Narrow");
inline constexpr Configuration kGemmSm90Tokens128 = gemm_sm90<GemmSm90Tokens128>("GemmSm90Tokens128");
inline constexpr Configuration kGemmSm90Tokens128Narrow = gemm_sm90<GemmSm90Tokens128Narrow>("GemmSm90Tokens128Narrow");
inline constexpr Configuration kGemmSm90Tokens256 = gemm_sm90<GemmSm90Tokens256>("GemmSm90Tokens256");
#endif

#undef AWQ_VARIANTS

inline constexpr const Configuration* kConfigurations[] = {
    &kSingleRowGemv,
    &kPersistentGemv16,
    &kPersistentGemv16LongK,
    &kGemv8Small,
    &kGemv8Medium,
    &kGemv8Large,
    &kGemm32,
    &kGemm64,
    &kGemm128,
#if AWQ_W4A16_SM90
    &kGemvSm90Tokens2,
    &kGemvSm90Tokens4,
    &kGemvSm90Tokens8,
    &kGemmSm90Tokens16,
    &kGemmSm90Tokens32,
    &kGemmSm90Tokens64,
    &kGemmSm90Tokens64Narrow,
    &kGemmSm90Tokens128,
    &kGemmSm90Tokens128Narrow,
    &kGemmSm90Tokens256,
#endif
};

}  // namespace awq::w4a16

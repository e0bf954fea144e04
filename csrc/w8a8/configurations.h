// What the tuning table may choose among. Host code.
#pragma once

#include "csrc/w8a8/dispatch.h"
#include "csrc/w8a8/gemm_mma.h"

// 1 where the build has the kernel that is compiled for Hopper alone.
#ifndef AWQ_W8A8_SM90
#define AWQ_W8A8_SM90 0
#endif
#if AWQ_W8A8_SM90
#include "csrc/w8a8/gemm_sm90.h"
#endif

namespace awq::w8a8 {

template <class Config>
constexpr Configuration gemm_mma(const char* name) {
  return {name,
          Config::kTileN,
          Config::kTileM,
          Config::kTileK,
          Config::kBlocksPerSm,
          Config::kSmemBytes,
          launch_gemm_mma<Config>};
}

inline constexpr Configuration kSkinny = gemm_mma<Skinny>("Skinny");
inline constexpr Configuration kSkinnyWide = gemm_mma<SkinnyWide>("SkinnyWide");
inline constexpr Configuration kLow = gemm_mma<Low>("Low");
inline constexpr Configuration kLowWide = gemm_mma<LowWide>("LowWide");
inline constexpr Configuration kSquare = gemm_mma<Square>("Square");
inline constexpr Configuration kTall = gemm_mma<Tall>("Tall");
inline constexpr Configuration kCompact = gemm_mma<Compact>("Compact");

#if AWQ_W8A8_SM90
// One number of tokens; two kernels, of which the first takes tiles that are narrow enough.
template <class Narrow, class Wide>
cudaError_t launch_sm90(const W8A8GemmParams& params, const W8A8Plan& plan, void*, cudaStream_t stream) {
  const auto launch = plan.channels <= Narrow::kMaxChannels ? launch_gemm_sm90<Narrow> : launch_gemm_sm90<Wide>;
  return launch(params, plan.channels, stream);
}

template <class Narrow, class Wide>
constexpr Configuration gemm_sm90(const char* name) {
  static_assert(Narrow::kTokens == Wide::kTokens && Narrow::kSmemBytes == Wide::kSmemBytes, "one configuration");
  constexpr int kBlocksPerSm = 1;
  return {name,
          Wide::kMaxChannels,
          Wide::kTokens,
          Wide::kTileK,
          kBlocksPerSm,
          Wide::kSmemBytes,
          launch_sm90<Narrow, Wide>,
          /*arch=*/90,
          /*narrows=*/true};
}

inline constexpr Configuration kGemmSm90Tokens16 =
    gemm_sm90<GemmSm90Tokens16, GemmSm90Tokens16Wide>("GemmSm90Tokens16");
inline constexpr Configuration kGemmSm90Tokens32 =
    gemm_sm90<GemmSm90Tokens32, GemmSm90Tokens32Wide>("GemmSm90Tokens32");
inline constexpr Configuration kGemmSm90Tokens64 =
    gemm_sm90<GemmSm90Tokens64, GemmSm90Tokens64Wide>("GemmSm90Tokens64");
inline constexpr Configuration kGemmSm90Tokens128 =
    gemm_sm90<GemmSm90Tokens128, GemmSm90Tokens128>("GemmSm90Tokens128");
inline constexpr Configuration kGemmSm90Tokens256 =
    gemm_sm90<GemmSm90Tokens256, GemmSm90Tokens256>("GemmSm90Tokens256");
#endif

inline constexpr const Configuration* kConfigurations[] = {
    &kSkinny,
    &kSkinnyWide,
    &kLow,
    &kLowWide,
    &kSquare,
    &kTall,
    &kCompact,
#if AWQ_W8A8_SM90
    &kGemmSm90Tokens16,
    &kGemmSm90Tokens32,
    &kGemmSm90Tokens64,
    &kGemmSm90Tokens128,
    &kGemmSm90Tokens256,
#endif
};

}  // namespace awq::w8a8

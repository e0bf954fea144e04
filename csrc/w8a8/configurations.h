// The configurations that the tuning table may choose, made from the lists in tiles.h. Host code.
#pragma once

#include "csrc/w8a8/dispatch.h"
#include "csrc/w8a8/tiles.h"

// 1 if the build has the kernel that is compiled for Hopper alone.
#ifndef AWQ_W8A8_SM90
#define AWQ_W8A8_SM90 0
#endif

namespace awq::w8a8 {

// A row for each kernel of tiles.h.

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

template <class Tile>
constexpr Configuration gemm_sm90(const char* name) {
  using Wide = typename Tile::Wide;
  constexpr int kBlocksPerSm = 1;
  return {name,
          Wide::kMaxChannels,
          Wide::kTokens,
          Wide::kTileK,
          kBlocksPerSm,
          Wide::kSmemBytes,
          launch_gemm_sm90<Tile>,
          /*arch=*/90,
          /*narrows=*/true};
}

#if AWQ_W8A8_SM90
#define AWQ_TILES(X)    \
  AWQ_W8A8_MMA_TILES(X) \
  AWQ_W8A8_SM90_TILES(X)
#else
#define AWQ_TILES(X) AWQ_W8A8_MMA_TILES(X)
#endif

#define AWQ_ROW(name, kernel, ...) inline constexpr Configuration k##name = kernel<name>(#name);
AWQ_TILES(AWQ_ROW)

#define AWQ_ADDRESS(name, kernel, ...) &k##name,
inline constexpr const Configuration* kConfigurations[] = {AWQ_TILES(AWQ_ADDRESS)};

#undef AWQ_ADDRESS
#undef AWQ_ROW
#undef AWQ_TILES

}  // namespace awq::w8a8

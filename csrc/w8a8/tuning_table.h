// Which configuration computes which problem. Written from docs/benchmarks/h200/tuning.json, not edited:
//   ./bazelw run //bench:tune -- --from docs/benchmarks/h200/tuning.json --out DIR
// That was measured by
//   tune --out tuning
// GPU: NVIDIA H200, 132 SMs, compute capability 9.0, L2 60 MiB, memory 140 GiB
// driver: 580.159.04
// PyTorch: 2.11.0+cu130, CUDA 13.0
// date: 2026-11-21 16:39 UTC
// What was found out about the choices: docs/benchmarks/h200/tuning.md
#pragma once

#include "csrc/w8a8/configurations.h"

namespace awq::w8a8 {

// A row: M, load in percent and K up to, configuration, waves. The first that serves a problem is taken.
// clang-format off

#if AWQ_W8A8_SM90
// On Hopper.
inline constexpr TuningRow<Configuration> kSm90Table[] = {
    {16, 12, kAny, &kSkinny, 0},
    {16, 200, kAny, &kGemmSm90Tokens16, 1},
    {32, 12, kAny, &kSkinny, 0},
    {32, 25, kAny, &kGemmSm90Tokens16, 1},
    {32, kAny, kAny, &kGemmSm90Tokens32, 1},
    {64, 6, kAny, &kSkinny, 0},
    {64, 12, kAny, &kGemmSm90Tokens16, 1},
    {64, 25, kAny, &kGemmSm90Tokens32, 1},
    {64, kAny, kAny, &kGemmSm90Tokens64, 1},
    {96, 12, kAny, &kGemmSm90Tokens32, 1},
    {96, 50, kAny, &kGemmSm90Tokens64, 0},
    {96, 100, kAny, &kGemmSm90Tokens128, 0},
    {192, 12, kAny, &kGemmSm90Tokens32, 1},
    {192, kAny, kAny, &kGemmSm90Tokens64, 1},
    {384, 12, kAny, &kGemmSm90Tokens32, 1},
    {384, 50, kAny, &kGemmSm90Tokens64, 1},
    {384, 100, kAny, &kGemmSm90Tokens128, 0},
    {384, 150, kAny, &kGemmSm90Tokens64, 1},
    {384, kAny, kAny, &kGemmSm90Tokens128, 0},
    {kAny, 50, kAny, &kGemmSm90Tokens64, 1},
    {kAny, 100, kAny, &kGemmSm90Tokens128, 0},
    {kAny, 150, 16384, &kGemmSm90Tokens64, 1},
    {kAny, 200, kAny, &kGemmSm90Tokens256, 0},
    {kAny, 300, kAny, &kGemmSm90Tokens128, 0},
    {kAny, 400, kAny, &kGemmSm90Tokens256, 0},
    {kAny, 500, kAny, &kGemmSm90Tokens128, 0},
    {kAny, 600, kAny, &kGemmSm90Tokens256, 0},
    {kAny, 700, kAny, &kGemmSm90Tokens128, 0},
    {kAny, kAny, kAny, &kGemmSm90Tokens256, 0},
};
#endif

// On every architecture; measured without what runs on Hopper alone. The last rows serve everything.
inline constexpr TuningRow<Configuration> kTable[] = {
    {16, 50, kAny, &kSkinny, 0},
    {16, kAny, kAny, &kSkinnyWide, 0},
    {32, 25, kAny, &kSkinny, 0},
    {32, kAny, kAny, &kSkinnyWide, 1},
    {48, 12, kAny, &kSkinny, 0},
    {48, 66, 8192, &kSkinnyWide, 1},
    {64, 12, kAny, &kSkinny, 0},
    {64, 100, kAny, &kLow, 1},
    {64, kAny, kAny, &kLowWide, 0},
    {96, 6, kAny, &kSkinny, 0},
    {96, 12, kAny, &kSkinnyWide, 1},
    {96, 33, 8192, &kSkinnyWide, 0},
    {96, 33, kAny, &kLowWide, 1},
    {96, 50, 8192, &kLowWide, 1},
    {96, 50, kAny, &kSquare, 1},
    {128, 6, 2048, &kSkinnyWide, 0},
    {128, 6, kAny, &kSkinny, 0},
    {128, 12, kAny, &kLow, 1},
    {128, 50, 4096, &kLow, 0},
    {128, 50, kAny, &kLowWide, 1},
    {128, 66, 2048, &kLowWide, 0},
    {128, 66, kAny, &kSquare, 1},
    {128, 100, kAny, &kLowWide, 0},
    {128, kAny, kAny, &kSquare, 0},
    {192, 18, kAny, &kLow, 1},
    {192, 75, 8192, &kLow, 0},
    {192, 75, kAny, &kLowWide, 1},
    {192, 100, 4096, &kLowWide, 0},
    {192, 100, kAny, &kLowWide, 2},
    {192, kAny, kAny, &kLowWide, 0},
    {kAny, 33, 4096, &kLow, 0},
    {kAny, 33, kAny, &kLowWide, 1},
    {kAny, 66, 2048, &kLowWide, 0},
    {kAny, 66, 4096, &kLow, 0},
    {kAny, 66, kAny, &kSquare, 1},
    {kAny, 100, kAny, &kSquare, 0},
    {kAny, 150, 2048, &kTall, 0},
    {kAny, 150, 4096, &kLowWide, 0},
    {kAny, 150, kAny, &kSquare, 2},
    {kAny, 200, 8192, &kSquare, 0},
    {kAny, 200, kAny, &kTall, 0},
    {kAny, kAny, kAny, &kSquare, 0},
    {kAny, kAny, kAny, &kCompact, 1},
};
// clang-format on

}  // namespace awq::w8a8

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

#include "csrc/w4a16/configurations.h"

namespace awq::w4a16 {

// A row: M, load in percent and K up to, configuration, waves. The first that serves a problem is taken.
// clang-format off

#if AWQ_W4A16_SM90
// On Hopper.
inline constexpr TuningRow<Configuration> kSm90Table[] = {
    {1, 25, kAny, &kSingleRowGemv, 0},
    {1, 66, 16384, &kSingleRowGemv, 0},
    {1, kAny, 4096, &kSingleRowGemv, 0},
    {8, 25, 2048, &kGemv8Medium, 0},
    {8, 25, kAny, &kGemv8Large, 0},
    {8, 50, kAny, &kGemv8Medium, 0},
    {8, 100, kAny, &kGemv8Small, 0},
    {8, 150, kAny, &kGemv8Medium, 0},
    {8, kAny, 4096, &kGemv8Small, 0},
    {8, kAny, kAny, &kGemv8Medium, 0},
    {16, 12, kAny, &kGemv8Large, 0},
    {16, 25, 4096, &kPersistentGemv16, 0},
    {16, 25, kAny, &kPersistentGemv16LongK, 0},
    {16, 33, 8192, &kGemv8Small, 0},
    {16, 33, kAny, &kGemmSm90Tokens16, 1},
    {16, 50, 4096, &kPersistentGemv16, 0},
    {16, 50, kAny, &kPersistentGemv16LongK, 0},
    {16, kAny, 4096, &kPersistentGemv16, 0},
    {16, kAny, kAny, &kGemmSm90Tokens16, 1},
    {32, 12, kAny, &kGemmSm90Tokens64Narrow, 1},
    {32, 66, 2048, &kGemmSm90Tokens64Narrow, 0},
    {32, kAny, kAny, &kGemmSm90Tokens32, 1},
    {64, 12, kAny, &kGemmSm90Tokens64Narrow, 1},
    {64, 33, 8192, &kGemmSm90Tokens64Narrow, 1},
    {64, 66, 2048, &kGemmSm90Tokens64Narrow, 0},
    {64, kAny, kAny, &kGemmSm90Tokens64, 1},
    {128, 50, 2048, &kGemmSm90Tokens64Narrow, 1},
    {128, 50, 16384, &kGemmSm90Tokens128Narrow, 1},
    {128, 66, 2048, &kGemmSm90Tokens128Narrow, 0},
    {128, 66, kAny, &kGemmSm90Tokens128, 1},
    {128, 100, kAny, &kGemmSm90Tokens128Narrow, 0},
    {128, 200, kAny, &kGemmSm90Tokens128, 0},
    {128, kAny, 4096, &kGemmSm90Tokens128Narrow, 0},
    {128, kAny, kAny, &kGemmSm90Tokens128, 0},
    {256, 25, 2048, &kGemmSm90Tokens64Narrow, 0},
    {256, 25, kAny, &kGemmSm90Tokens128Narrow, 1},
    {256, 66, kAny, &kGemmSm90Tokens256, 1},
    {256, 100, 4096, &kGemmSm90Tokens128Narrow, 0},
    {256, 100, kAny, &kGemmSm90Tokens256, 1},
    {256, 125, kAny, &kGemmSm90Tokens256, 2},
    {256, 200, kAny, &kGemmSm90Tokens256, 0},
    {256, 300, kAny, &kGemmSm90Tokens128Narrow, 0},
    {256, kAny, kAny, &kGemmSm90Tokens256, 0},
    {384, 100, 2048, &kGemmSm90Tokens64Narrow, 0},
    {384, 100, 8192, &kGemmSm90Tokens128Narrow, 1},
    {384, 100, kAny, &kGemmSm90Tokens128, 1},
    {384, 150, kAny, &kGemmSm90Tokens256, 0},
    {384, 200, kAny, &kGemmSm90Tokens128, 0},
    {384, 300, kAny, &kGemmSm90Tokens128Narrow, 0},
    {384, kAny, kAny, &kGemmSm90Tokens128, 0},
    {kAny, 100, 4096, &kGemmSm90Tokens128Narrow, 1},
    {kAny, 100, kAny, &kGemmSm90Tokens256, 1},
    {kAny, 125, 8192, &kGemmSm90Tokens256, 0},
    {kAny, 125, kAny, &kGemmSm90Tokens256, 2},
    {kAny, 150, 16384, &kGemmSm90Tokens256, 0},
    {kAny, 150, kAny, &kGemmSm90Tokens256, 2},
    {kAny, 200, kAny, &kGemmSm90Tokens256, 0},
    {kAny, 300, kAny, &kGemmSm90Tokens128Narrow, 0},
    {kAny, kAny, kAny, &kGemmSm90Tokens256, 0},
};
#endif

// On every architecture; measured without what runs on Hopper alone. The last rows serve everything.
inline constexpr TuningRow<Configuration> kTable[] = {
    {1, 25, kAny, &kSingleRowGemv, 0},
    {1, 66, 16384, &kSingleRowGemv, 0},
    {1, kAny, 4096, &kSingleRowGemv, 0},
    {8, 25, 2048, &kGemv8Medium, 0},
    {8, 25, kAny, &kGemv8Large, 0},
    {8, 50, kAny, &kGemv8Medium, 0},
    {8, 100, kAny, &kGemv8Small, 0},
    {8, 150, kAny, &kGemv8Medium, 0},
    {8, kAny, 4096, &kGemv8Small, 0},
    {8, kAny, kAny, &kGemv8Medium, 0},
    {12, 12, kAny, &kGemv8Large, 0},
    {12, kAny, 8192, &kPersistentGemv16, 0},
    {16, 12, kAny, &kGemv8Large, 0},
    {16, kAny, 4096, &kPersistentGemv16, 0},
    {16, kAny, kAny, &kPersistentGemv16LongK, 0},
    {32, kAny, kAny, &kGemm32, 2},
    {64, 12, 8192, &kGemm32, 2},
    {64, 125, 2048, &kGemm32, 0},
    {64, 125, kAny, &kGemm64, 1},
    {64, 150, kAny, &kGemm64, 2},
    {64, kAny, kAny, &kGemm64, 0},
    {96, kAny, kAny, &kGemm32, 2},
    {128, 12, 2048, &kGemm32, 1},
    {128, 12, kAny, &kGemm64, 1},
    {128, 50, 8192, &kGemm64, 1},
    {128, kAny, 2048, &kGemm32, 0},
    {128, kAny, kAny, &kGemm128, 1},
    {192, 18, 4096, &kGemm32, 2},
    {192, 18, kAny, &kGemm64, 1},
    {192, 66, 8192, &kGemm64, 1},
    {192, 100, kAny, &kGemm64, 2},
    {192, kAny, kAny, &kGemm64, 0},
    {kAny, 18, 2048, &kGemm32, 0},
    {kAny, 18, kAny, &kGemm64, 1},
    {kAny, 50, 8192, &kGemm64, 1},
    {kAny, 50, kAny, &kGemm128, 1},
    {kAny, 75, 2048, &kGemm64, 0},
    {kAny, 75, 8192, &kGemm128, 1},
    {kAny, 75, kAny, &kGemm128, 2},
    {kAny, 100, 8192, &kGemm64, 0},
    {kAny, 100, kAny, &kGemm128, 1},
    {kAny, 150, 2048, &kGemm64, 0},
    {kAny, 150, kAny, &kGemm128, 2},
    {kAny, 200, kAny, &kGemm128, 0},
    {kAny, 250, kAny, &kGemm64, 0},
    {kAny, kAny, kAny, &kGemm128, 0},
    {kAny, kAny, kAny, &kGemm64, 1},
};
// clang-format on

}  // namespace awq::w4a16

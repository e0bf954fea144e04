// The arguments of every kernel of the family, for both layouts. Host and device.
#pragma once

#include <cstdint>

namespace awq::w4a16 {

struct Args {
  const void* in;       // [m, k]
  const void* weights;  // packed [n, k]
  const void* scales;   // v2 [groups, n], v1 [n, groups]
  const void* zeros;    // v2 as scales, v1 eight to an int32
  void* out;            // [m, n]
  float* partials;      // [splits, m, n], used if splits > 1
  int64_t m, n, k;
  int64_t scales_row_stride_elems;  // v2 n
  int64_t zeros_row_stride_elems;   // v2 n
  int runs_per_group;               // group size / 32
  int splits;                       // number of blocks that share the sum over K of one output tile
  bool constant_weights;            // weights may be loaded before the previous kernel in the stream has ended
};

// Weights are addressed in runs of 32 along K. A run has 16 bytes in both layouts and is inside one group.
constexpr int kRunElems = 32;
constexpr int kRunBytes = kRunElems / 2;

// The elements of K that kernels for many rows process at a time. They are a 128-byte row of activations and, in layout
// v2, a 128-byte line of weights.
constexpr int kTileK = 64;
constexpr int kRunsPerTile = kTileK / kRunElems;

// The elements of K that kernels for few rows process at a time: one run for each lane of a quad.
constexpr int kStepRuns = 4;
constexpr int kStepElems = kStepRuns * kRunElems;

// Tags for the weight layouts of w4a16.h.
struct LayoutV1;
struct LayoutV2;

}  // namespace awq::w4a16

// Sizes that all GPUs have in common. Host and device.
#pragma once

#include "csrc/common/math.h"

namespace awq {

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;  // mask of all lanes of a warp
constexpr int kWarpgroupThreads = 128;       // four warps, which multiply together on Hopper

constexpr int kChunkBytes = 16;  // one access of a thread, or one row of an 8x8 matrix of ldmatrix
constexpr int kLineBytes = 128;  // one line of memory and caches; in shared memory, one word of every bank
constexpr int kLineChunks = kLineBytes / kChunkBytes;

// The position of a chunk in a 128-byte row of a tile in shared memory. The row's number permutes the chunks. Eight
// rows that are read at one chunk then use different banks. Hopper's tensor copy engine has the same permutation.
AWQ_HOST_DEVICE constexpr int swizzle(int chunk, int row) { return chunk ^ (row % kLineChunks); }

// The shared memory of a block: its maximum on Hopper, and on the GPU with the smallest maximum.
constexpr int kSm90SmemBytes = 227 * 1024;
constexpr int kLeastSmemBytes = 64 * 1024;

}  // namespace awq

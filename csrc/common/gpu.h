// Sizes that all GPUs have in common. Host and device.
#pragma once

#include "csrc/common/math.h"

namespace awq {

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;  // of a warp, as a mask
constexpr int kWarpgroupThreads = 128;       // four warps, which multiply together on Hopper

constexpr int kChunkBytes = 16;  // what a thread moves at once, and a row of an 8x8 matrix of ldmatrix
constexpr int kLineBytes = 128;  // of memory and caches; in shared memory, all banks once
constexpr int kLineChunks = kLineBytes / kChunkBytes;

// Where a chunk lies in a row of 128 bytes of a tile in shared memory: permuted by the row's number, so that eight rows
// read at one chunk meet different banks. Hopper's tensor copy engine does the same.
AWQ_HOST_DEVICE constexpr int swizzle(int chunk, int row) { return chunk ^ (row % kLineChunks); }

// Shared memory that a block can have on Hopper, and on the GPU that has the least.
constexpr int kSm90SmemBytes = 227 * 1024;
constexpr int kLeastSmemBytes = 64 * 1024;

}  // namespace awq

// A ring of stages in shared memory that one side fills and the other empties, with a pair of barriers per stage.
#pragma once

#include <cstdint>

namespace awq {

// Position in the ring, with the parity of the barriers' phase: it flips with every round. The side that fills starts
// with parity 1, since a fresh barrier counts as past its odd phase: all stages are empty.
struct RingPosition {
  uint32_t parity = 0;
  int stage = 0;

  __device__ __forceinline__ void advance(int stages) {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

}  // namespace awq

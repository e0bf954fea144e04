// A ring of stages in shared memory. One side fills stages, the other side empties them. Each stage has a pair of
// barriers.
#pragma once

#include <cstdint>

namespace awq {

// A position in the ring, with the parity of the phase of the barriers. The parity flips with every round. The side
// that fills starts with parity 1: a new barrier counts as past its odd phase, so all stages are empty.
struct RingPosition {
  uint32_t parity = 0;
  int stage = 0;

  __device__ __forceinline__ void advance(int stages) {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

}  // namespace awq

// What needs no GPU: a size that cannot be is refused before anything is launched, and nothing to do is no error.

#include <cstdio>

#include "csrc/norm/norm.h"

int main() {
  awq::RmsNormParams params{};
  params.dtype = awq::DType::kFloat32;
  if (awq::launch_rms_norm(params, nullptr) != cudaSuccess) {
    std::fprintf(stderr, "zero rows were refused\n");
    return 1;
  }
  params.tokens = -1;
  if (awq::launch_rms_norm(params, nullptr) != cudaErrorInvalidValue) {
    std::fprintf(stderr, "a negative number of rows was accepted\n");
    return 1;
  }
  return 0;
}

// Instantiations of the Hopper kernel. All compile within seconds, so they share a file.
#include "csrc/w8a8/gemm_sm90.cuh"

namespace awq::w8a8 {

AWQ_W8A8_SM90_TILES(AWQ_W8A8_INSTANTIATE)

}  // namespace awq::w8a8

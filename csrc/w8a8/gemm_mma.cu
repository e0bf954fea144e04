// Instantiations of the kernel for any device.
#include "csrc/w8a8/gemm_mma.cuh"

namespace awq::w8a8 {

AWQ_W8A8_MMA_TILES(AWQ_W8A8_INSTANTIATE)

}  // namespace awq::w8a8

// Instantiations of the many-row kernel for Hopper: both layouts and types compile within seconds, so they share a
// file.
#include "csrc/w4a16/gemm_sm90.cuh"

namespace awq::w4a16 {

#define AWQ_V2_FP16(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __half, LayoutV2)
#define AWQ_V1_FP16(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __half, LayoutV1)
AWQ_W4A16_GEMM_SM90_TILES(AWQ_V2_FP16)
AWQ_W4A16_GEMM_SM90_TILES(AWQ_V1_FP16)
#if AWQ_ENABLE_BF16
#define AWQ_V2_BF16(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __nv_bfloat16, LayoutV2)
AWQ_W4A16_GEMM_SM90_TILES(AWQ_V2_BF16)
#endif

}  // namespace awq::w4a16

// Instantiations of the few-row kernel for Hopper.
#include "csrc/w4a16/gemv_sm90.cuh"

namespace awq::w4a16 {

#define AWQ_FP16(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __half, LayoutV2)
AWQ_W4A16_GEMV_SM90_TILES(AWQ_FP16)
#if AWQ_ENABLE_BF16
#define AWQ_BF16(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __nv_bfloat16, LayoutV2)
AWQ_W4A16_GEMV_SM90_TILES(AWQ_BF16)
#endif

}  // namespace awq::w4a16

// Instantiations for few rows, layout v1, fp16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemv.cuh"
#include "csrc/w4a16/gemv_persistent.cuh"
#include "csrc/w4a16/gemv_single.cuh"

namespace awq::w4a16 {

#define AWQ_INSTANTIATE(name, kernel, ...) AWQ_W4A16_INSTANTIATE(kernel, name, __half, LayoutV1)
AWQ_W4A16_GEMV_TILES(AWQ_INSTANTIATE)

}  // namespace awq::w4a16

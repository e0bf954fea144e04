// Instantiations for many rows, layout v2, fp16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemm.cuh"

namespace awq::w4a16 {

template cudaError_t launch_gemm<Gemm32, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm<Gemm64, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm<Gemm128, __half, LayoutV2>(const Args&, cudaStream_t);

}  // namespace awq::w4a16

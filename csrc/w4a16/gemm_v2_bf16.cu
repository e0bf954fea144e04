// Instantiations for many rows, layout v2, bfloat16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemm.cuh"

#if AWQ_ENABLE_BF16
namespace awq::w4a16 {

template cudaError_t launch_gemm<Gemm32, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm<Gemm64, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm<Gemm128, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);

}  // namespace awq::w4a16
#endif

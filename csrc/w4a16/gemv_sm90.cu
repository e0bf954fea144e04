// Instantiations of the few-row kernel for Hopper.
#include "csrc/w4a16/gemv_sm90.cuh"

namespace awq::w4a16 {

template cudaError_t launch_gemv_sm90<GemvSm90Tokens2, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv_sm90<GemvSm90Tokens4, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv_sm90<GemvSm90Tokens8, __half, LayoutV2>(const Args&, cudaStream_t);
#if AWQ_ENABLE_BF16
template cudaError_t launch_gemv_sm90<GemvSm90Tokens2, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv_sm90<GemvSm90Tokens4, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv_sm90<GemvSm90Tokens8, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
#endif

}  // namespace awq::w4a16

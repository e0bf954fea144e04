// Instantiations of the Hopper kernel: both layouts and types compile within seconds, so they share a file.
#include "csrc/w4a16/gemm_sm90.cuh"

namespace awq::w4a16 {

template cudaError_t launch_gemm_sm90<GemmSm90Tokens16, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens32, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64Narrow, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128Narrow, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens256, __half, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens16, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens32, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64Narrow, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128Narrow, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens256, __half, LayoutV1>(const Args&, cudaStream_t);
#if AWQ_ENABLE_BF16
template cudaError_t launch_gemm_sm90<GemmSm90Tokens16, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens32, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64Narrow, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128Narrow, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens256, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
#endif

}  // namespace awq::w4a16

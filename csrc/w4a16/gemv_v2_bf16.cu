// Instantiations for few rows, layout v2, bfloat16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemv.cuh"

#if AWQ_ENABLE_BF16
namespace awq::w4a16 {

template cudaError_t launch_gemv<Gemv8Small, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Medium, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Large, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv16Small, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv16Medium, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv16Large, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);

}  // namespace awq::w4a16
#endif

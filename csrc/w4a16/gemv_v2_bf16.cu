// Instantiations for few rows, layout v2, bfloat16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemv.cuh"
#include "csrc/w4a16/gemv_persistent.cuh"
#include "csrc/w4a16/gemv_single.cuh"

#if AWQ_ENABLE_BF16
namespace awq::w4a16 {

template cudaError_t launch_gemv<Gemv8Small, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Medium, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Large, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_single_row_gemv<SingleRowGemv, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_persistent_gemv<PersistentGemv16, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);
template cudaError_t launch_persistent_gemv<PersistentGemv16LongK, __nv_bfloat16, LayoutV2>(const Args&, cudaStream_t);

}  // namespace awq::w4a16
#endif

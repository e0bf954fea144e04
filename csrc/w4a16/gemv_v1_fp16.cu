// Instantiations for few rows, layout v1, fp16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemv.cuh"

namespace awq::w4a16 {

template cudaError_t launch_gemv<GemvWide, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<GemvNarrow, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<GemvWide16, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<GemvNarrow16, __half, LayoutV1>(const Args&, cudaStream_t);

}  // namespace awq::w4a16

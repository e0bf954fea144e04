// Instantiations for few rows, layout v1, fp16. One file per layout and type, so that they compile side by side.
#include "csrc/w4a16/gemv.cuh"
#include "csrc/w4a16/gemv_persistent.cuh"
#include "csrc/w4a16/gemv_single.cuh"

namespace awq::w4a16 {

template cudaError_t launch_gemv<Gemv8Small, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Medium, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_gemv<Gemv8Large, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_single_row_gemv<SingleRowGemv, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_persistent_gemv<PersistentGemv16, __half, LayoutV1>(const Args&, cudaStream_t);
template cudaError_t launch_persistent_gemv<PersistentGemv16LongK, __half, LayoutV1>(const Args&, cudaStream_t);

}  // namespace awq::w4a16

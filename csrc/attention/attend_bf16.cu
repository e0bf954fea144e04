// Decode attention for bf16. One file per type, so that they compile side by side.
#include "csrc/attention/attend.cuh"

namespace awq::attention {

#if AWQ_ENABLE_BF16
cudaError_t attend_bf16(const AttendParams& params, cudaStream_t stream) {
  return attend<__nv_bfloat16>(params, stream);
}
#else
cudaError_t attend_bf16(const AttendParams&, cudaStream_t) { return cudaErrorInvalidValue; }
#endif

}  // namespace awq::attention

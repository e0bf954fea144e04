// Decode attention for fp16. One file per type, so that they compile side by side.
#include "csrc/attention/attend.cuh"

namespace awq::attention {

cudaError_t attend_fp16(const AttendParams& params, cudaStream_t stream) { return attend<__half>(params, stream); }

}  // namespace awq::attention

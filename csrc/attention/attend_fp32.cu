// Decode attention for fp32. One file per type, so that they compile side by side.
#include "csrc/attention/attend.cuh"

namespace awq::attention {

cudaError_t attend_fp32(const AttendParams& params, cudaStream_t stream) { return attend<float>(params, stream); }

}  // namespace awq::attention

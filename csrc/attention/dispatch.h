// The choice of a plan, for dispatch.cc and for what tests it. Host code.
#pragma once

#include "csrc/attention/single_query_attention.h"
#include "csrc/common/device.h"

namespace awq::attention {

// What is chosen on a device, which need not be one of this machine.
cudaError_t plan(const SingleQueryAttentionParams& params, const DeviceInfo& device, SingleQueryAttentionPlan* plan);

}  // namespace awq::attention

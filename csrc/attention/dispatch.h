// The choice of a plan, for dispatch.cc and its tests. Host code.
#pragma once

#include "csrc/attention/single_query_attention.h"
#include "csrc/common/device.h"

namespace awq::attention {

// Makes the plan for a device. The device need not be in this machine.
cudaError_t plan(const SingleQueryAttentionParams& params, const DeviceInfo& device, SingleQueryAttentionPlan* plan);

}  // namespace awq::attention

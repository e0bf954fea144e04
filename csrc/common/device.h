// What is to be known of a device, read once per device and process. Host code, no PyTorch.
#pragma once

#include <cuda_runtime_api.h>

namespace awq {

struct DeviceInfo {
  int arch;                      // compute capability as 10 * major + minor: 90 for sm_90
  int sm_count;                  // streaming multiprocessors
  int max_smem_bytes_per_block;  // dynamic shared memory a block may opt in to
};

// Fills `*info` for a device, by its number, or for the calling thread's current one. Safe from several threads and
// during graph capture.
cudaError_t device_info(int device, DeviceInfo* info);
cudaError_t current_device_info(DeviceInfo* info);

// The error of the launch just made by this thread, cleared so that it does not surface in a later call.
inline cudaError_t checked_launch() { return cudaGetLastError(); }

}  // namespace awq

// Facts about a device, read once per device and process. Host code, no PyTorch.
#pragma once

#include <cuda_runtime_api.h>

namespace awq {

struct DeviceInfo {
  int arch;                      // compute capability as 10 * major + minor: 90 for sm_90
  int sm_count;                  // streaming multiprocessors
  int max_smem_bytes_per_block;  // dynamic shared memory a block may opt in to
};

// Fills `*info` for a device number, or for the current device of the calling thread. Both may be called from several
// threads and during graph capture.
cudaError_t device_info(int device, DeviceInfo* info);
cudaError_t current_device_info(DeviceInfo* info);

// Returns the error of the last launch of this thread, and clears it so that no later call reports it.
inline cudaError_t checked_launch() { return cudaGetLastError(); }

}  // namespace awq

#include "csrc/common/device.h"

#include <array>
#include <atomic>

namespace awq {
namespace {

constexpr int kMaxDevices = 64;  // slots of the cache; a device past it is asked anew each time

struct Slot {
  std::atomic<bool> ready{false};
  std::atomic<bool> writing{false};
  DeviceInfo info{};
};

std::array<Slot, kMaxDevices> slots;

cudaError_t query(int device, DeviceInfo* info) {
  // Single attributes: cudaGetDeviceProperties reads all of them, clocks included, which takes milliseconds.
  int major = 0, minor = 0;
  const auto get = [device](int* value, cudaDeviceAttr attribute) {
    return cudaDeviceGetAttribute(value, attribute, device);
  };
  cudaError_t error = get(&major, cudaDevAttrComputeCapabilityMajor);
  if (error == cudaSuccess) error = get(&minor, cudaDevAttrComputeCapabilityMinor);
  if (error == cudaSuccess) error = get(&info->sm_count, cudaDevAttrMultiProcessorCount);
  if (error == cudaSuccess) error = get(&info->max_smem_bytes_per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  info->arch = 10 * major + minor;
  return error;
}

}  // namespace

cudaError_t device_info(int device, DeviceInfo* info) {
  if (device >= kMaxDevices) return query(device, info);

  Slot& slot = slots[device];
  if (!slot.ready.load(std::memory_order_acquire)) {
    if (const cudaError_t error = query(device, info); error != cudaSuccess) return error;
    // One thread fills the slot; another that comes meanwhile goes on with its own reading.
    if (!slot.writing.exchange(true)) {
      slot.info = *info;
      slot.ready.store(true, std::memory_order_release);
    }
    return cudaSuccess;
  }
  *info = slot.info;
  return cudaSuccess;
}

cudaError_t current_device_info(DeviceInfo* info) {
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return device_info(device, info);
}

}  // namespace awq

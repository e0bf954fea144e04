// The parts of DLPack's C interface, version 1, that are used here: the view of a tensor, the handle that owns a
// tensor, and the table of functions that a Python tensor type offers as `__dlpack_c_exchange_api__`.
//
// The declarations follow the specification (https://dmlc.github.io/dlpack/latest/c_api.html), in this project's style.
// Names differ from the specification's only in case. The layout of version 1 is fixed; minor versions only add codes.
#pragma once

#include <cstdint>

namespace awq::dlpack {

constexpr uint32_t kMajorVersion = 1;

constexpr int32_t kCpu = 1;
constexpr int32_t kCuda = 2;

enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4 };

struct Device {
  int32_t type;
  int32_t index;
};

struct DataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t dim;
  DataType type;
  int64_t* sizes;
  int64_t* strides;
  uint64_t byte_offset;
};

struct Version {
  uint32_t major;
  uint32_t minor;
};

struct ManagedTensor {
  Version version;
  void* context;
  void (*deleter)(ManagedTensor*);
  uint64_t flags;
  Tensor tensor;
};

// All functions return 0, or -1 with the error set. Python objects are PyObject*. `no_sync`: the function does not
// synchronize streams.
struct ExchangeApi {
  Version version;
  const ExchangeApi* previous;  // a table of an older major version, or null

  // A tensor of the sizes, type and device of `prototype`. Calls set_error instead of setting a Python exception.
  int (*allocate)(Tensor* prototype, ManagedTensor** out, void* error_context,
                  void (*set_error)(void* error_context, const char* kind, const char* message));
  int (*managed_from_object_no_sync)(void* object, ManagedTensor** out);
  int (*managed_to_object_no_sync)(ManagedTensor* stolen, void** out);
  int (*view_from_object_no_sync)(void* object, Tensor* out);  // may be null in other frameworks than PyTorch
  int (*current_stream)(int32_t device_type, int32_t device_index, void** out);
};

static_assert(sizeof(Tensor) == 48 && sizeof(ManagedTensor) == 80 && sizeof(ExchangeApi) == 56);

}  // namespace awq::dlpack

// The interface of the bindings to PyTorch: a view of a Python tensor, new tensors, scratch memory, the current stream.
// All functions need the GIL unless stated otherwise.
//
// Two libraries define these functions. A module links one of them:
//   pybind11_form   uses PyTorch's C++ interface, for one PyTorch and one Python
//   universal_form  uses DLPack's exchange API, for all
// Nothing else in csrc differs between the two. The types here are plain, without classes of the C++ library. PyTorch
// before 2.7 is compiled for the old strings of that library, and the rest of the bindings is not.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>

#include "csrc/bindings/spec.h"

typedef struct _object PyObject;  // as in Python.h

namespace awq::bindings {

// A tensor as a kernel sees it. Like the tensor, it is valid until the call ends.
struct TensorView {
  void* data = nullptr;              // also nullptr if the tensor has no memory of its own
  const int64_t* sizes = nullptr;    // [dim]
  const int64_t* strides = nullptr;  // [dim], in elements
  int dim = 0;
  unsigned type = 0;                // one of Types, or 0 for another
  int device = -1;                  // index of its CUDA device; -1 if it is on none
  bool present = false;             // false for an optional tensor that is None
  bool dense = true;                // strided and not quantized; if false, the other fields have no meaning
  std::unique_ptr<int64_t[]> kept;  // sizes and strides of a tensor that does not hold them in memory

  int64_t size(int i) const { return sizes[i]; }
  int64_t stride(int i) const { return strides[i]; }
  int64_t element_size() const;
  int64_t elements() const;
  bool is_contiguous() const;
};

// A new tensor: its memory and its Python object, which this class owns. Needs the GIL.
class Tensor {
 public:
  Tensor() = default;
  Tensor(PyObject* owned, void* data) : object_(owned), data_(data) {}
  Tensor(Tensor&& other) noexcept : object_(other.release()), data_(other.data_) {}
  Tensor& operator=(Tensor&&) = delete;
  ~Tensor();

  void* data() const { return data_; }
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_ = nullptr;
  void* data_ = nullptr;
};

// An error of the bindings. It becomes a Python exception.
class Error : public std::runtime_error {
 public:
  enum class Kind { kType, kValue, kRuntime };
  Error(Kind kind, const char* message) : std::runtime_error(message), kind(kind) {}
  const Kind kind;
};

// Thrown if a Python exception has been set.
struct PythonError {};

namespace framework {

// The data that a form keeps between the calls of one function.
struct Memory;

// Fills the view. Returns false if the value is no torch.Tensor. Throws PythonError.
bool view(PyObject* value, TensorView* view);

// Whether the tensor's values have the opposite sign of the values in its memory. Throws PythonError.
bool is_negated(PyObject* tensor, const TensorView& view);

// An uninitialized tensor on a CUDA device.
struct NewTensor {
  const int64_t* sizes;    // [dim]
  const int64_t* strides;  // [dim], dense in some order of the dimensions
  int dim;
  Types type;
  int device;
};
Tensor empty(const NewTensor& tensor, Memory** memory);

// Memory of torch's allocator on the current stream. Freed memory is reused in stream order. Needs no GIL.
struct Scratch {
  void* data = nullptr;
  void* owner = nullptr;
};
Scratch allocate(size_t bytes, int device);
void free(Scratch scratch);

// PyTorch's current stream of a device.
cudaStream_t current_stream(int device);

// Marks a tensor as changed, as an in-place operation of PyTorch does. autograd then notices if it still needs the old
// values. Throws PythonError.
void bump_versions(PyObject* const* tensors, size_t count);

// In a catch block: sets the Python exception for an exception that is neither Error nor PythonError.
void set_error();

}  // namespace framework
}  // namespace awq::bindings

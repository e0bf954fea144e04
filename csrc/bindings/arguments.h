// The arguments of one call, checked against the function's spec. All errors of the modules are made here.
//
// The checks have this order. Each step checks all arguments before the next step begins:
//   1. Python type
//   2. per tensor: element type, rank, shape, strides
//   3. the requirements of the binding beyond the table
//   4. devices
//   5. the GPU's architecture
// The first checks therefore need no GPU. A message names the first problem:
// "<function>: <argument> must be ..., got ...".
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "csrc/bindings/framework.h"
#include "csrc/bindings/spec.h"
#include "csrc/common/dtype.h"

namespace awq::bindings {

namespace detail {

inline void append(std::string& text, std::string_view part) { text += part; }
template <typename Number, typename = std::enable_if_t<std::is_integral_v<Number>>>
void append(std::string& text, Number number) {
  text += std::to_string(number);
}

}  // namespace detail

// Concatenates texts and integers.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::string result;
  (detail::append(result, parts), ...);
  return result;
}

class Arguments {
 public:
  // Takes the Python values in the spec's order, null for a default, and checks them against the spec. Throws Error.
  // The values must outlive this object. `memory` is the data that the framework keeps for the function.
  Arguments(const FunctionSpec& spec, PyObject* const* values, framework::Memory** memory);

  const TensorView& tensor(std::string_view name) const { return views_[index(name)]; }
  void* data(std::string_view name) const { return tensor(name).data; }  // null for an optional tensor that is None
  DType dtype(std::string_view name) const;
  int64_t integer(std::string_view name) const { return integers_[index(name)]; }
  double real(std::string_view name) const { return reals_[index(name)]; }
  bool flag(std::string_view name) const { return integers_[index(name)] != 0; }

  // The size of a named dimension. "T" is the product of the dimensions in "...".
  int64_t dim(std::string_view name) const;

  // Checks a condition beyond the table. The parts of `expected` complete "<argument> must ...". They are joined only
  // if the condition fails.
  template <typename... Parts>
  void require(bool condition, const char* name, const Parts&... expected) const {
    if (!condition) fail(name, text(expected...));
  }

  // Kernels read some tensors in pieces of 16 bytes. A view that starts between two pieces is refused.
  void require_aligned(const char* name) const;

  // Checks devices and architecture and makes the tensors' device current. Then calls `launch` with the current stream
  // of that device, without the GIL. An error that `launch` returns is thrown as RuntimeError.
  template <typename Launch>
  void run(Launch&& launch) const {
    using Callee = std::remove_reference_t<Launch>;
    run_launch([](void* callee, cudaStream_t stream) { return (*static_cast<Callee*>(callee))(stream); },
               const_cast<std::remove_const_t<Callee>*>(&launch));
  }

  // Scratch memory on the device of the first argument, for use in run(). torch's allocator reuses it in stream order.
  // If no bytes are needed, nothing is allocated and the address is null. Most calls need none, and an allocation takes
  // a microsecond.
  class Workspace {
   public:
    Workspace(const Arguments& arguments, size_t bytes) {
      if (bytes > 0) scratch_ = framework::allocate(bytes, arguments.device_);
    }
    Workspace(const Workspace&) = delete;
    ~Workspace() {
      if (scratch_.owner) framework::free(scratch_);
    }
    void* data() const { return scratch_.data; }

   private:
    framework::Scratch scratch_;
  };

  // An uninitialized tensor on the device of the first argument, with the type of tensor `like`. `swapped` lays it out
  // in memory as if its first two dimensions were exchanged. Valid after check_device().
  Tensor empty(std::initializer_list<int64_t> sizes, std::string_view like, bool swapped = false) const {
    return empty(sizes.begin(), static_cast<int>(sizes.size()), like, swapped);
  }

  // The result of a function that returns [..., last]. Its leading dimensions and type are those of tensor `name`.
  Tensor empty_with_last(std::string_view name, int64_t last) const;

  // Checks that all tensors are on one CUDA device that this module has code for. run() checks this too. A binding that
  // allocates its result before run() calls this function first.
  void check_device() const;

 private:
  size_t index(std::string_view name) const;
  bool is_tensor(size_t i) const;
  void check_type(size_t i, PyObject* value);
  void check_tensor(size_t i);
  bool match_shape(const ArgumentSpec& spec, const TensorView& view);
  const int64_t* find_dim(std::string_view name) const;
  std::string bound_dims(const ArgumentSpec& spec) const;
  std::string type_name(size_t i) const;
  std::string device_name(size_t i) const;
  std::string describe(size_t i) const;
  [[noreturn]] void fail(const char* name, const std::string& expected, const char* cure = "") const;
  Tensor empty(const int64_t* sizes, int dim, std::string_view like, bool swapped) const;
  void run_launch(cudaError_t (*launch)(void*, cudaStream_t), void* callee) const;

  struct BoundDim {
    std::string_view name;
    int64_t size;
  };

  const FunctionSpec& spec_;
  framework::Memory** const memory_;
  PyObject* const* const values_;
  std::array<TensorView, kMaxArguments> views_{};
  std::array<int64_t, kMaxArguments> integers_{};
  std::array<double, kMaxArguments> reals_{};
  std::array<BoundDim, 16> dims_{};
  size_t dim_count_ = 0;
  mutable int device_ = -1;  // index of the tensors' CUDA device, once it is checked
};

// The docstring of a function: formula, arguments and result as text. The text is never freed. Needs the GIL.
const char* docstring(const FunctionSpec& spec);

}  // namespace awq::bindings

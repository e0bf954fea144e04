// The arguments of one call, checked against the function's spec. All errors of the modules are made here.
//
// Order of the checks, each over all arguments before the next: Python type; per tensor element type, rank, shape,
// strides; then what the binding requires beyond the table; then devices; then the GPU's architecture. So everything
// that can be told without a GPU is, and a message names the first thing wrong: "<function>: <argument> must be ...,
// got ...".
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>
#include <c10/util/StringUtil.h>
#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "csrc/bindings/spec.h"
#include "csrc/common/dtype.h"

namespace awq::bindings {

namespace py = pybind11;

class Arguments {
 public:
  // Takes the Python values in the spec's order and checks them against the spec. Throws TypeError or ValueError.
  // The values must outlive this.
  Arguments(const FunctionSpec& spec, const py::handle* values);

  const at::Tensor& tensor(std::string_view name) const { return *tensors_[index(name)]; }
  void* data(std::string_view name) const;  // nullptr for an optional tensor that is None
  DType dtype(std::string_view name) const;
  int64_t integer(std::string_view name) const { return integers_[index(name)]; }
  double real(std::string_view name) const { return reals_[index(name)]; }
  bool flag(std::string_view name) const { return integers_[index(name)] != 0; }

  // The size a dimension's name stands for; "T" is the product of the dimensions behind "...".
  int64_t dim(std::string_view name) const;

  // A condition beyond the table. The parts of `expected`, put together only if it fails, complete "<argument> must
  // ...".
  template <typename... Parts>
  void require(bool condition, const char* name, const Parts&... expected) const {
    if (!condition) fail(name, c10::str(expected...));
  }

  // Kernels read some tensors in 16-byte pieces: a view that starts between two of them is refused.
  void require_aligned(const char* name) const;

  // Checks devices and architecture, makes the tensors' device current and calls `launch` with its current stream and
  // without the GIL; an error that it returns is thrown as RuntimeError.
  void run(c10::function_ref<cudaError_t(cudaStream_t)> launch) const;

  // Scratch memory beside the first argument, for use in run(): torch's allocator hands it on in stream order. Nothing
  // is allocated, and the address is null, where no bytes are needed: most calls, and allocating takes a microsecond.
  class Workspace {
   public:
    Workspace(const Arguments& arguments, size_t bytes) {
      if (bytes > 0) tensor_ = arguments.empty({static_cast<int64_t>(bytes)}, at::kByte);
    }
    void* data() const { return tensor_.defined() ? tensor_.data_ptr() : nullptr; }

   private:
    at::Tensor tensor_;
  };

  // An uninitialized tensor beside the first argument. Valid after check_device().
  at::Tensor empty(at::IntArrayRef sizes, at::ScalarType type) const;

  // The result of a function that returns [..., last]: leading dimensions and type as tensor `name` has them.
  at::Tensor empty_with_last(std::string_view name, int64_t last) const;

  // Checks that all tensors are on one CUDA device that this module has code for. run() does it too; a binding that
  // allocates its result before calls it first.
  void check_device() const;

 private:
  size_t index(std::string_view name) const;
  void check_type(size_t i, py::handle value);
  void check_tensor(size_t i);
  bool match_shape(const ArgumentSpec& spec, const at::Tensor& tensor);
  const int64_t* find_dim(std::string_view name) const;
  std::string bound_dims(const ArgumentSpec& spec) const;
  std::string describe(size_t i) const;
  [[noreturn]] void fail(const char* name, const std::string& expected, const char* cure = "") const;

  struct BoundDim {
    std::string_view name;
    int64_t size;
  };

  const FunctionSpec& spec_;
  std::array<const at::Tensor*, kMaxArguments> tensors_{};
  std::array<int64_t, kMaxArguments> integers_{};
  std::array<double, kMaxArguments> reals_{};
  std::array<py::handle, kMaxArguments> values_{};
  std::array<BoundDim, 16> dims_{};
  size_t dim_count_ = 0;
  mutable bool device_checked_ = false;
};

// Formula, arguments and result of a function, in words: its docstring.
std::string docstring(const FunctionSpec& spec);

namespace detail {

template <const FunctionSpec& kSpec, size_t kIndex>
auto python_argument() {
  constexpr const ArgumentSpec& argument = kSpec.arguments[kIndex];
  if constexpr (!argument.has_default) {
    return py::arg(argument.name);
  } else if constexpr (argument.kind == Kind::kBool) {
    return py::arg_v(argument.name, argument.default_value != 0);
  } else if constexpr (argument.kind == Kind::kInt) {
    return py::arg_v(argument.name, static_cast<int64_t>(argument.default_value));
  } else {
    return py::arg_v(argument.name, argument.default_value);
  }
}

template <size_t>
using Value = py::object;

template <const FunctionSpec& kSpec, typename Function, size_t... kIndices>
void define(py::module_& module, Function function, std::index_sequence<kIndices...>) {
  module.def(
      kSpec.name,
      [function](const Value<kIndices>&... values) {
        const std::array<py::handle, sizeof...(kIndices)> handles{values...};
        return function(Arguments(kSpec, handles.data()));
      },
      python_argument<kSpec, kIndices>()..., docstring(kSpec).c_str());
}

}  // namespace detail

// Adds a function to the module: `function` takes the checked Arguments and returns void or py::object.
template <const FunctionSpec& kSpec, typename Function>
void define(py::module_& module, Function function) {
  detail::define<kSpec>(module, function, std::make_index_sequence<kSpec.count()>());
}

// Hands a tensor to Python.
py::object to_python(at::Tensor tensor);

}  // namespace awq::bindings

#include "csrc/bindings/pybind11_form.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>

#include <array>
#include <memory>
#include <utility>

#include "csrc/bindings/functions.h"

namespace py = pybind11;

// ---- functions of the module ----

namespace awq::bindings {
namespace {

struct Argument {
  const ArgumentSpec& spec;
};

}  // namespace
}  // namespace awq::bindings

// How pybind11 takes attributes of a function that are not its own.
template <>
struct pybind11::detail::process_attribute<awq::bindings::Argument>
    : pybind11::detail::process_attribute_default<awq::bindings::Argument> {
  static void init(const awq::bindings::Argument& argument, function_record* record) {
    using awq::bindings::Kind;
    const awq::bindings::ArgumentSpec& spec = argument.spec;
    if (!spec.has_default) {
      process_attribute<arg>::init(arg(spec.name.data()), record);
    } else if (spec.kind == Kind::kBool) {
      process_attribute<arg_v>::init(arg_v(spec.name.data(), spec.default_value != 0), record);
    } else if (spec.kind == Kind::kInt) {
      process_attribute<arg_v>::init(arg_v(spec.name.data(), static_cast<int64_t>(spec.default_value)), record);
    } else {
      process_attribute<arg_v>::init(arg_v(spec.name.data(), spec.default_value), record);
    }
  }
};

namespace awq::bindings {
namespace {

template <size_t>
using Value = py::object;

template <size_t... kIndices>
void define_function(py::module_& module, const Function& function, std::index_sequence<kIndices...>) {
  module.def(
      function.spec->name,
      [function](const Value<kIndices>&... values) {
        const std::array<PyObject*, sizeof...(kIndices)> objects{values.ptr()...};
        PyObject* result = call(function, objects.data(), nullptr);
        if (!result) throw py::error_already_set();
        return py::reinterpret_steal<py::object>(result);
      },
      Argument{function.spec->arguments[kIndices]}..., docstring(*function.spec));
}

// pybind11 wants the number of arguments at compile time.
template <size_t... kCounts>
void define_by_count(py::module_& module, const Function& function, std::index_sequence<kCounts...>) {
  const size_t count = function.spec->count();
  ((count == kCounts + 1 ? define_function(module, function, std::make_index_sequence<kCounts + 1>()) : void()), ...);
}

}  // namespace

void fill_module(py::module_& module) {
  module.doc() = std::string(kModuleSummary) + kConventions;
  // The docstrings state shapes and types, which pybind11's generated signatures would only obscure.
  py::options options;
  options.disable_function_signatures();
  Module functions;
  define_module(functions);
  for (const Function& function : functions) {
    define_by_count(module, function, std::make_index_sequence<kMaxArguments>());
  }
}

// ---- PyTorch ----

namespace framework {
namespace {

constexpr std::pair<Types, at::ScalarType> kTypes[] = {
    {kF16, at::kHalf}, {kBF16, at::kBFloat16}, {kF32, at::kFloat}, {kF64, at::kDouble},
    {kI8, at::kChar},  {kI16, at::kShort},     {kI32, at::kInt},   {kI64, at::kLong},
};

at::TensorOptions options(at::ScalarType type, int device) {
  return at::TensorOptions().device(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device))).dtype(type);
}

}  // namespace

bool view(PyObject* value, TensorView* view) {
  if (!THPVariable_Check(value)) return false;
  const at::Tensor& tensor = THPVariable_Unpack(value);
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized() || tensor.is_nested()) {
    view->dense = false;
    return true;
  }
  view->sizes = tensor.sizes().data();
  view->strides = tensor.strides().data();
  view->dim = static_cast<int>(tensor.dim());
  for (const auto& [type, scalar] : kTypes) {
    if (scalar == tensor.scalar_type()) view->type = type;
  }
  if (tensor.is_cuda()) view->device = tensor.device().index();
  // Fake tensors have storage without an address, and data_ptr() would complain. It is what copies a copy-on-write
  // tensor.
  if (tensor.has_storage() && tensor.const_data_ptr()) view->data = tensor.data_ptr();
  return true;
}

bool is_negated(PyObject* tensor, const TensorView&) { return THPVariable_Unpack(tensor).is_neg(); }

Tensor empty(const NewTensor& tensor, Memory**) {
  at::ScalarType type = at::kFloat;
  for (const auto& [bit, scalar] : kTypes) {
    if (bit == tensor.type) type = scalar;
  }
  const auto dim = static_cast<size_t>(tensor.dim);
  at::Tensor made = at::empty_strided({tensor.sizes, dim}, {tensor.strides, dim}, options(type, tensor.device));
  void* data = made.data_ptr();
  return Tensor(THPVariable_Wrap(std::move(made)), data);
}

Scratch allocate(size_t bytes, int device) {
  at::Tensor made = at::empty({static_cast<int64_t>(bytes)}, options(at::kByte, device));
  void* data = made.data_ptr();
  return {data, made.unsafeReleaseTensorImpl()};
}

void free(Scratch scratch) {
  const auto held =
      c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim(static_cast<at::TensorImpl*>(scratch.owner));
}

cudaStream_t current_stream(int device) {
  return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device));
}

void bump_versions(PyObject* const* tensors, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor& tensor = THPVariable_Unpack(tensors[i]);
    if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
  }
}

void set_error() { torch::translate_exception_to_python(std::current_exception()); }

}  // namespace framework
}  // namespace awq::bindings

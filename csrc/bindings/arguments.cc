#include "csrc/bindings/arguments.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/autograd/python_variable.h>

#include <array>
#include <cmath>
#include <sstream>

#include "config/built_archs.h"
#include "csrc/common/device.h"

namespace awq::bindings {
namespace {

struct TypeName {
  Types type;
  at::ScalarType scalar;
  const char* name;
};

constexpr TypeName kTypeNames[] = {
    {kF16, at::kHalf, "float16"},   {kBF16, at::kBFloat16, "bfloat16"}, {kF32, at::kFloat, "float32"},
    {kF64, at::kDouble, "float64"}, {kI8, at::kChar, "int8"},           {kI16, at::kShort, "int16"},
    {kI32, at::kInt, "int32"},      {kI64, at::kLong, "int64"},
};

std::string type_name(at::ScalarType scalar) {
  for (const TypeName& row : kTypeNames) {
    if (row.scalar == scalar) return row.name;
  }
  std::string name = c10::toString(scalar);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

unsigned type_bit(at::ScalarType scalar) {
  for (const TypeName& row : kTypeNames) {
    if (row.scalar == scalar) return row.type;
  }
  return 0;
}

// The types of a set that this build has kernels for.
unsigned built_types(unsigned types) { return AWQ_ENABLE_BF16 ? types : types & ~static_cast<unsigned>(kBF16); }

// "float16 or bfloat16".
std::string type_set(unsigned types) {
  std::string text;
  for (const TypeName& row : kTypeNames) {
    if (!(types & row.type)) continue;
    if (!text.empty()) text += " or ";
    text += row.name;
  }
  return text;
}

std::string list(at::IntArrayRef values) {
  std::ostringstream text;
  text << '[';
  for (size_t i = 0; i < values.size(); ++i) text << (i ? ", " : "") << values[i];
  text << ']';
  return text.str();
}

std::string shape_text(const ArgumentSpec& spec) {
  std::string text(spec.shape_text);
  for (size_t i = text.find(' '); i != std::string::npos; i = text.find(' ', i + 2)) text.replace(i, 1, ", ");
  return "[" + text + "]";
}

bool rows_contiguous(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return true;
  int64_t stride = 1;
  for (int64_t i = tensor.dim() - 1; i >= 0 && i >= tensor.dim() - 2; --i) {
    if (tensor.size(i) != 1 && tensor.stride(i) != stride) return false;
    stride *= tensor.size(i);
  }
  return true;
}

// ---- architectures ----

bool built_for(int arch) {
  for (const BuiltArch& built : kBuiltArchs) {
    // Machine code runs on its own generation from its minor version up, PTX on everything newer; architecture-specific
    // code (90a) on exactly its own GPU.
    if (built.specific) {
      if (built.arch == arch) return true;
      continue;
    }
    if (built.arch / 10 == arch / 10 && built.arch <= arch) return true;
    if (built.ptx && built.arch <= arch) return true;
  }
  return false;
}

// The architecture of a device (90 for sm_90); `name` is the function that asks, for the message.
int device_arch(const at::Device& device, const char* name) {
  DeviceInfo info;
  if (const cudaError_t error = device_info(device.index(), &info); error != cudaSuccess) {
    throw std::runtime_error(c10::str(name, ": cannot read ", device.str(), ": ", cudaGetErrorString(error)));
  }
  return info.arch;
}

}  // namespace

// ---- table checks ----

Arguments::Arguments(const FunctionSpec& spec, const py::handle* values) : spec_(spec) {
  const size_t count = spec.count();
  for (size_t i = 0; i < count; ++i) check_type(i, values[i]);
  for (size_t i = 0; i < count; ++i) {
    if (tensors_[i]) check_tensor(i);
  }
}

void Arguments::check_type(size_t i, py::handle value) {
  const ArgumentSpec& spec = spec_.arguments[i];
  values_[i] = value;
  const auto wrong = [&](const char* expected) {
    throw py::type_error(std::string(spec_.name) + ": " + spec.name + " must be " + expected + ", got " +
                         Py_TYPE(value.ptr())->tp_name);
  };
  switch (spec.kind) {
    case Kind::kOptionalTensor:
      if (value.is_none()) return;
      [[fallthrough]];
    case Kind::kTensor:
      if (!THPVariable_Check(value.ptr())) {
        wrong(spec.kind == Kind::kTensor ? "a torch.Tensor" : "a torch.Tensor or None");
      }
      tensors_[i] = &THPVariable_Unpack(value.ptr());
      return;
    case Kind::kInt: {
      if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr())) wrong("an int");
      const py::object number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
      if (!number) throw py::error_already_set();
      int overflow = 0;
      integers_[i] = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
      if (overflow) fail(spec.name, "fit into 64 bits");
      return;
    }
    case Kind::kFloat: {
      // Whatever converts to float, such as an int or a NumPy scalar; a tensor would have to be waited for.
      const PyNumberMethods* number = Py_TYPE(value.ptr())->tp_as_number;
      const bool converts = PyIndex_Check(value.ptr()) || (number && number->nb_float);
      if (!converts || PyBool_Check(value.ptr()) || THPVariable_Check(value.ptr())) wrong("a float");
      reals_[i] = PyFloat_AsDouble(value.ptr());
      if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        fail(spec.name, "fit into a float");
      }
      if (PyErr_Occurred()) throw py::error_already_set();
      return;
    }
    case Kind::kBool: {
      const std::string_view type = Py_TYPE(value.ptr())->tp_name;
      if (PyBool_Check(value.ptr()) || type == "numpy.bool" || type == "numpy.bool_") {
        integers_[i] = PyObject_IsTrue(value.ptr());
        return;
      }
      if (!PyLong_Check(value.ptr())) wrong("a bool");
      integers_[i] = PyLong_AsLong(value.ptr());
      if (PyErr_Occurred()) PyErr_Clear();
      if (integers_[i] != 0 && integers_[i] != 1) wrong("a bool");
      return;
    }
    case Kind::kNone: return;
  }
}

void Arguments::check_tensor(size_t i) {
  const ArgumentSpec& spec = spec_.arguments[i];
  const at::Tensor& tensor = *tensors_[i];
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized())
    fail(spec.name, "be a dense tensor");
  if (tensor.is_conj() || tensor.is_neg()) {
    fail(spec.name, "hold its values as they are, not be a lazily negated or conjugated view", "; call resolve_neg()");
  }

  const unsigned type = type_bit(tensor.scalar_type());
  if (spec.same_type_as) {
    const size_t other = index(spec.same_type_as);
    if (tensor.scalar_type() != tensors_[other]->scalar_type()) {
      fail(spec.name, "be " + type_name(tensors_[other]->scalar_type()) + " " + shape_text(spec) + " as " +
                          spec.same_type_as + " is");
    }
  } else {
    const unsigned built = built_types(spec.types);
    if (!(type & built)) {
      const char* cure = type & spec.types
                             ? "; this module was built without bfloat16 kernels, rebuild it with --//config:bf16=true"
                             : "";
      fail(spec.name, "be " + type_set(built) + " " + shape_text(spec), cure);
    }
  }

  if (!match_shape(spec, tensor)) {
    fail(spec.name, "be " + type_name(tensor.scalar_type()) + " " + shape_text(spec) + bound_dims(spec));
  }
  if (spec.layout == Layout::kContiguous && !tensor.is_contiguous())
    fail(spec.name, "be contiguous " + shape_text(spec));
  if (spec.layout == Layout::kRows && !rows_contiguous(tensor)) {
    fail(spec.name, "be " + shape_text(spec) + " with its last two dimensions contiguous");
  }
}

bool Arguments::match_shape(const ArgumentSpec& spec, const at::Tensor& tensor) {
  const Shape& shape = spec.shape;
  if (spec.reshaped) {
    int64_t elems = 1;
    for (size_t j = 0; j < shape.rank; ++j) {
      const Dim& dim = shape.dims[j];
      if (dim.form == Dim::Form::kConstant) {
        elems *= dim.factor;
      } else {
        elems *= this->dim(dim.form == Dim::Form::kEllipsis ? "T" : dim.name) * dim.factor / dim.divisor;
      }
    }
    return tensor.numel() == elems;
  }
  const auto rank = static_cast<size_t>(tensor.dim());
  size_t skipped = 0;  // dimensions of the tensor behind "..."
  if (shape.has_ellipsis()) {
    if (rank + 1 < shape.rank) return false;
    skipped = rank + 1 - shape.rank;
    int64_t product = 1;
    for (size_t j = 0; j < skipped; ++j) product *= tensor.size(static_cast<int64_t>(j));
    if (const int64_t* tokens = find_dim("T")) {
      if (*tokens != product) return false;
    } else {
      dims_[dim_count_++] = {"T", product};
    }
  } else if (rank != shape.rank) {
    return false;
  }
  for (size_t j = shape.has_ellipsis() ? 1 : 0; j < shape.rank; ++j) {
    const Dim& dim = shape.dims[j];
    const int64_t size = tensor.size(static_cast<int64_t>(shape.has_ellipsis() ? j - 1 + skipped : j));
    if (dim.form == Dim::Form::kConstant) {
      if (size != dim.factor) return false;
      continue;
    }
    if (const int64_t* bound = find_dim(dim.name)) {
      if (size * dim.divisor != *bound * dim.factor) return false;
    } else {
      if (size * dim.divisor % dim.factor != 0) return false;
      dims_[dim_count_++] = {dim.name, size * dim.divisor / dim.factor};
    }
  }
  return true;
}

const int64_t* Arguments::find_dim(std::string_view name) const {
  for (size_t i = 0; i < dim_count_; ++i) {
    if (dims_[i].name == name) return &dims_[i].size;
  }
  return nullptr;
}

int64_t Arguments::dim(std::string_view name) const {
  const int64_t* size = find_dim(name);
  TORCH_INTERNAL_ASSERT(size, spec_.name, " has no dimension ", std::string(name));
  return *size;
}

size_t Arguments::index(std::string_view name) const {
  const size_t i = spec_.index(name);
  TORCH_INTERNAL_ASSERT(i < kMaxArguments, spec_.name, " has no argument ", std::string(name));
  return i;
}

void Arguments::require_aligned(const char* name) const {
  const at::Tensor* tensor = tensors_[index(name)];
  constexpr uintptr_t kBytes = 16;
  if (tensor && reinterpret_cast<uintptr_t>(tensor->data_ptr()) % kBytes != 0) {
    throw py::value_error(std::string(spec_.name) + ": " + name +
                          " must start at a multiple of 16 bytes, got a view with " + "storage offset " +
                          std::to_string(tensor->storage_offset()) + " of " + type_name(tensor->scalar_type()) +
                          "; pass a clone");
  }
}

// ---- messages ----

// " with K = 4096, N = 512": the names in the argument's shape that earlier arguments gave a size.
std::string Arguments::bound_dims(const ArgumentSpec& spec) const {
  std::string text;
  for (size_t j = 0; j < spec.shape.rank; ++j) {
    const Dim& dim = spec.shape.dims[j];
    const std::string_view name = dim.form == Dim::Form::kEllipsis ? std::string_view("T") : dim.name;
    for (size_t i = 0; i < dim_count_; ++i) {
      if (dims_[i].name != name) continue;
      text += text.empty() ? " with " : ", ";
      text += dim.form == Dim::Form::kEllipsis ? "product of ..." : std::string(name);
      text += " = " + std::to_string(dims_[i].size);
    }
  }
  return text;
}

std::string Arguments::describe(size_t i) const {
  if (!tensors_[i]) return py::str(py::repr(values_[i]));
  const at::Tensor& tensor = *tensors_[i];
  if (tensor.layout() != at::kStrided) return "a tensor of layout " + std::string(c10::str(tensor.layout()));
  std::string text = type_name(tensor.scalar_type()) + " " + list(tensor.sizes());
  if (!tensor.is_contiguous()) text += " with strides " + list(tensor.strides());
  if (!tensor.is_cpu()) return text + " on " + tensor.device().str();
  return text;
}

void Arguments::fail(const char* name, const std::string& expected, const char* cure) const {
  throw py::value_error(std::string(spec_.name) + ": " + name + " must " + expected + ", got " + describe(index(name)) +
                        cure);
}

// ---- devices ----

void Arguments::check_device() const {
  if (device_checked_) return;
  const at::Tensor* first = nullptr;
  bool bf16 = false;
  for (size_t i = 0; i < spec_.count(); ++i) {
    if (!tensors_[i]) continue;
    const char* name = spec_.arguments[i].name;
    if (!tensors_[i]->is_cuda()) {
      throw py::value_error(std::string(spec_.name) + ": " + name + " must be on a CUDA device, got a tensor on " +
                            tensors_[i]->device().str());
    }
    // Fake tensors and wrapper subclasses get this far, and a kernel would read address zero.
    if (tensors_[i]->numel() > 0 && tensors_[i]->const_data_ptr() == nullptr) {
      fail(name, "have memory of its own", "; to trace or wrap the call use torch.ops.awq (awq_kernels.ops)");
    }
    bf16 = bf16 || tensors_[i]->scalar_type() == at::kBFloat16;
    if (!first) {
      first = tensors_[i];
    } else if (tensors_[i]->device() != first->device()) {
      throw py::value_error(std::string(spec_.name) + ": " + name + " must be on " + first->device().str() + " as " +
                            spec_.arguments[0].name + " is, got a tensor on " + tensors_[i]->device().str());
    }
  }

  const int arch = device_arch(first->device(), spec_.name);
  if (!built_for(arch)) {
    throw std::runtime_error(c10::str(spec_.name, ": ", first->device().str(), " is sm_", arch,
                                      ", but this module was built for ", kBuiltArchList,
                                      "; rebuild with --//config:cuda_archs=", arch));
  }
  if (bf16 && arch < 80) {
    throw py::value_error(c10::str(spec_.name, ": bfloat16 needs a GPU of sm_80 or newer, and ", first->device().str(),
                                   " is sm_", arch, " (this module was built for ", kBuiltArchList, "); pass float16"));
  }
  device_checked_ = true;
}

void Arguments::run(c10::function_ref<cudaError_t(cudaStream_t)> launch) const {
  check_device();
  const at::Device device = tensors_[0]->device();
  cudaError_t error = cudaSuccess;
  {
    const c10::cuda::CUDAGuard guard(device);
    const py::gil_scoped_release no_gil;
    error = launch(c10::cuda::getCurrentCUDAStream(device.index()));
  }
  if (error == cudaSuccess) {
    // As after an in-place operation of PyTorch: autograd then notices if it still needs the old values.
    for (size_t i = 0; i < spec_.count(); ++i) {
      if (spec_.arguments[i].written && tensors_[i] && !tensors_[i]->is_inference()) {
        tensors_[i]->unsafeGetTensorImpl()->bump_version();
      }
    }
    return;
  }
  throw std::runtime_error(std::string(spec_.name) + ": the launch on " + device.str() +
                           " failed: " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

// ---- tensors ----

void* Arguments::data(std::string_view name) const {
  const at::Tensor* tensor = tensors_[index(name)];
  return tensor ? tensor->data_ptr() : nullptr;
}

DType Arguments::dtype(std::string_view name) const {
  switch (tensor(name).scalar_type()) {
    case at::kHalf: return DType::kFloat16;
    case at::kBFloat16: return DType::kBFloat16;
    case at::kDouble: return DType::kFloat64;
    default: return DType::kFloat32;  // the table admits no other type where a binding asks
  }
}

at::Tensor Arguments::empty(at::IntArrayRef sizes, at::ScalarType type) const {
  return at::empty(sizes, at::TensorOptions().device(tensors_[0]->device()).dtype(type));
}

at::Tensor Arguments::empty_with_last(std::string_view name, int64_t last) const {
  const at::Tensor& like = tensor(name);
  std::vector<int64_t> sizes = like.sizes().vec();
  sizes.back() = last;
  return empty(sizes, like.scalar_type());
}

py::object to_python(at::Tensor tensor) {
  return py::reinterpret_steal<py::object>(THPVariable_Wrap(std::move(tensor)));
}

// ---- docstrings ----

namespace {

// "name(in_feats, eps=1e-06)": Python reads a signature followed by "--" as __text_signature__, for inspect and
// stubtest.
std::string signature(const FunctionSpec& spec) {
  std::ostringstream text;
  text << spec.name << '(';
  for (size_t i = 0; i < spec.count(); ++i) {
    const ArgumentSpec& argument = spec.arguments[i];
    text << (i ? ", " : "") << argument.name;
    if (!argument.has_default) continue;
    if (argument.kind == Kind::kBool) {
      text << '=' << (argument.default_value != 0 ? "True" : "False");
    } else if (argument.kind == Kind::kInt) {
      text << '=' << static_cast<int64_t>(argument.default_value);
    } else {
      text << '=' << std::string(py::repr(py::float_(argument.default_value)));
    }
  }
  text << ")\n--\n\n";
  return text.str();
}

}  // namespace

std::string docstring(const FunctionSpec& spec) {
  std::ostringstream text;
  text << signature(spec) << spec.formula << "\n\nArgs:\n";
  for (size_t i = 0; i < spec.count(); ++i) {
    const ArgumentSpec& argument = spec.arguments[i];
    text << "  " << argument.name << ": ";
    switch (argument.kind) {
      case Kind::kTensor:
      case Kind::kOptionalTensor:
        if (argument.same_type_as) {
          text << "type of " << argument.same_type_as;
        } else {
          text << type_set(built_types(argument.types));
        }
        text << " " << shape_text(argument);
        if (argument.layout == Layout::kStrided) text << ", any strides";
        if (argument.reshaped) text << ", or any shape of as many elements";
        if (argument.layout == Layout::kRows) text << ", any stride before the last two dimensions";
        if (argument.kind == Kind::kOptionalTensor) text << ", or None";
        if (argument.written) text << ", written";
        break;
      case Kind::kInt: text << "int"; break;
      case Kind::kFloat: text << "float"; break;
      case Kind::kBool: text << "bool"; break;
      case Kind::kNone: break;
    }
    if (*argument.meaning) text << "; " << argument.meaning;
    text << ".\n";
  }
  text << "\nReturns:\n  " << spec.result << ".\n\n"
       << "Raises:\n  TypeError, ValueError: an argument is not as above; the message names it.\n"
       << "  RuntimeError: the GPU is not among those the module was built for, or the launch failed.\n";
  return text.str();
}

}  // namespace awq::bindings

#include "csrc/bindings/python.h"
// Python's header comes before all others.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "config/built_archs.h"
#include "csrc/bindings/functions.h"
#include "csrc/common/device.h"

namespace awq::bindings {
namespace {

struct TypeName {
  Types type;
  const char* name;
  int bytes;
};

constexpr TypeName kTypeNames[] = {
    {kF16, "float16", 2}, {kBF16, "bfloat16", 2}, {kF32, "float32", 4}, {kF64, "float64", 8},
    {kI8, "int8", 1},     {kI16, "int16", 2},     {kI32, "int32", 4},   {kI64, "int64", 8},
};

// The types of a set that this build has kernels for.
unsigned built_types(unsigned types) { return AWQ_ENABLE_BF16 ? types : types & ~static_cast<unsigned>(kBF16); }

// "float16 or bfloat16".
std::string type_set(unsigned types) {
  std::string names;
  for (const TypeName& row : kTypeNames) {
    if (!(types & row.type)) continue;
    if (!names.empty()) names += " or ";
    names += row.name;
  }
  return names;
}

std::string list(const int64_t* values, int count) {
  std::string items = "[";
  for (int i = 0; i < count; ++i) items += text(i ? ", " : "", values[i]);
  return items + ']';
}

std::string shape_text(const ArgumentSpec& spec) {
  std::string shape(spec.shape_text);
  for (size_t i = shape.find(' '); i != std::string::npos; i = shape.find(' ', i + 2)) shape.replace(i, 1, ", ");
  return "[" + shape + "]";
}

// Whether the innermost `count` dimensions lie in memory without gaps.
bool inner_contiguous(const TensorView& view, int count) {
  if (view.elements() == 0) return true;
  int64_t stride = 1;
  for (int i = view.dim - 1; i >= 0 && i >= view.dim - count; --i) {
    if (view.size(i) != 1 && view.stride(i) != stride) return false;
    stride *= view.size(i);
  }
  return true;
}

// ---- Python values in words ----

std::string utf8(PyObject* string) {
  const char* bytes = string ? PyUnicode_AsUTF8AndSize(string, nullptr) : nullptr;
  if (!bytes) {
    PyErr_Clear();
    return "?";
  }
  return bytes;
}

std::string repr(PyObject* value) { return utf8(Reference(PyObject_Repr(value)).get()); }

// str() of an attribute.
std::string attribute(PyObject* value, const char* name) {
  const Reference found(PyObject_GetAttrString(value, name));
  const Reference string(found ? PyObject_Str(found.get()) : nullptr);
  return utf8(string.get());
}

// An attribute of torch's, such as a dtype, without "torch." before it.
std::string torch_attribute(PyObject* value, const char* name) {
  constexpr std::string_view kPrefix = "torch.";
  std::string string = attribute(value, name);
  if (string.compare(0, kPrefix.size(), kPrefix) == 0) string.erase(0, kPrefix.size());
  return string;
}

// The name of a value's type as Python's own messages have it.
std::string python_type(PyObject* value) {
  PyTypeObject* type = Py_TYPE(value);
  std::string name = attribute(reinterpret_cast<PyObject*>(type), "__name__");
  if (PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE) return name;
  const std::string module = attribute(reinterpret_cast<PyObject*>(type), "__module__");
  return module == "builtins" ? name : module + "." + name;
}

// ---- devices ----

std::string cuda_device(int index) { return text("cuda:", index); }

// Makes a device current for this thread.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    error_ = cudaGetDevice(&previous_);
    if (error_ != cudaSuccess || previous_ == device) return;
    error_ = cudaSetDevice(device);
    changed_ = error_ == cudaSuccess;
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int previous_ = 0;
  bool changed_ = false;
  cudaError_t error_ = cudaSuccess;
};

class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

[[noreturn]] void throw_error(Error::Kind kind, const std::string& message) { throw Error(kind, message.c_str()); }
[[noreturn]] void value_error(const std::string& message) { throw_error(Error::Kind::kValue, message); }
[[noreturn]] void runtime_error(const std::string& message) { throw_error(Error::Kind::kRuntime, message); }

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
int device_arch(int device, const char* name) {
  DeviceInfo info;
  if (const cudaError_t error = device_info(device, &info); error != cudaSuccess) {
    runtime_error(text(name, ": cannot read ", cuda_device(device), ": ", cudaGetErrorString(error)));
  }
  return info.arch;
}

}  // namespace

// ---- tensors ----

int64_t TensorView::element_size() const {
  for (const TypeName& row : kTypeNames) {
    if (row.type == type) return row.bytes;
  }
  return 0;
}

int64_t TensorView::elements() const {
  int64_t product = 1;
  for (int i = 0; i < dim; ++i) product *= sizes[i];
  return product;
}

bool TensorView::is_contiguous() const { return inner_contiguous(*this, dim); }

Tensor::~Tensor() { Py_DecRef(object_); }

// ---- table checks ----

Arguments::Arguments(const FunctionSpec& spec, PyObject* const* values, framework::Memory** memory)
    : spec_(spec), memory_(memory), values_(values) {
  const size_t count = spec.count();
  for (size_t i = 0; i < count; ++i) check_type(i, values[i]);
  for (size_t i = 0; i < count; ++i) {
    if (views_[i].present) check_tensor(i);
  }
}

void Arguments::check_type(size_t i, PyObject* value) {
  const ArgumentSpec& spec = spec_.arguments[i];
  const auto wrong = [&](const char* expected) {
    throw_error(Error::Kind::kType,
                text(spec_.name, ": ", spec.name, " must be ", expected, ", got ", python_type(value)));
  };
  if (!value) {  // the default
    reals_[i] = spec.default_value;
    integers_[i] = static_cast<int64_t>(spec.default_value);
    return;
  }
  switch (spec.kind) {
    case Kind::kOptionalTensor:
      if (value == Py_None) return;
      [[fallthrough]];
    case Kind::kTensor:
      if (!framework::view(value, &views_[i])) {
        wrong(spec.kind == Kind::kTensor ? "a torch.Tensor" : "a torch.Tensor or None");
      }
      views_[i].present = true;
      return;
    case Kind::kInt: {
      if (PyBool_Check(value) || !PyIndex_Check(value)) wrong("an int");
      const Reference number(PyNumber_Index(value));
      if (!number) throw PythonError();
      int overflow = 0;
      integers_[i] = PyLong_AsLongLongAndOverflow(number.get(), &overflow);
      if (overflow) fail(spec.name.data(), "fit into 64 bits");
      return;
    }
    case Kind::kFloat: {
      // Whatever converts to float, such as an int or a NumPy scalar; a tensor would have to be waited for.
      if (!PyFloat_Check(value)) {
        TensorView view;
        const bool converts = PyIndex_Check(value) || PyType_GetSlot(Py_TYPE(value), Py_nb_float);
        if (!converts || PyBool_Check(value) || framework::view(value, &view)) wrong("a float");
      }
      reals_[i] = PyFloat_AsDouble(value);
      if (reals_[i] != -1.0 || !PyErr_Occurred()) return;
      if (!PyErr_ExceptionMatches(PyExc_OverflowError)) throw PythonError();
      PyErr_Clear();
      fail(spec.name.data(), "fit into a float");
    }
    case Kind::kBool: {
      if (PyBool_Check(value)) {
        integers_[i] = value == Py_True;
        return;
      }
      const std::string type = python_type(value);
      if (type == "numpy.bool" || type == "numpy.bool_") {
        integers_[i] = PyObject_IsTrue(value);
        return;
      }
      if (!PyLong_Check(value)) wrong("a bool");
      integers_[i] = PyLong_AsLong(value);
      if (PyErr_Occurred()) PyErr_Clear();
      if (integers_[i] != 0 && integers_[i] != 1) wrong("a bool");
      return;
    }
    case Kind::kNone: return;
  }
}

void Arguments::check_tensor(size_t i) {
  const ArgumentSpec& spec = spec_.arguments[i];
  const TensorView& view = views_[i];
  if (!view.dense) fail(spec.name.data(), "be a dense tensor");
  if (!spec.same_type_as.empty()) {
    const size_t other = index(spec.same_type_as);
    if (view.type != views_[other].type) {
      fail(spec.name.data(), text("be ", type_name(other), " ", shape_text(spec), " as ", spec.same_type_as, " is"));
    }
  } else {
    const unsigned built = built_types(spec.types);
    if (!(view.type & built)) {
      const char* cure = view.type & spec.types
                             ? "; this module was built without bfloat16 kernels, rebuild it with --//config:bf16=true"
                             : "";
      fail(spec.name.data(), text("be ", type_set(built), " ", shape_text(spec)), cure);
    }
  }
  // Such as the imaginary part of a conjugated complex tensor. (No complex type gets here.)
  if (framework::is_negated(values_[i], view)) {
    fail(spec.name.data(), "hold its values as they are, not be a lazily negated view", "; call resolve_neg()");
  }

  if (!match_shape(spec, view))
    fail(spec.name.data(), text("be ", type_name(i), " ", shape_text(spec), bound_dims(spec)));
  if (spec.layout == Layout::kContiguous && !view.is_contiguous()) {
    fail(spec.name.data(), "be contiguous " + shape_text(spec));
  }
  if (spec.layout == Layout::kRows && !inner_contiguous(view, 2)) {
    fail(spec.name.data(), text("be ", shape_text(spec), " with its last two dimensions contiguous"));
  }
}

bool Arguments::match_shape(const ArgumentSpec& spec, const TensorView& view) {
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
    return view.elements() == elems;
  }
  const auto rank = static_cast<size_t>(view.dim);
  size_t skipped = 0;  // dimensions of the tensor behind "..."
  if (shape.has_ellipsis()) {
    if (rank + 1 < shape.rank) return false;
    skipped = rank + 1 - shape.rank;
    int64_t product = 1;
    for (size_t j = 0; j < skipped; ++j) product *= view.sizes[j];
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
    const int64_t size = view.sizes[shape.has_ellipsis() ? j - 1 + skipped : j];
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
    if (same(dims_[i].name, name)) return &dims_[i].size;
  }
  return nullptr;
}

int64_t Arguments::dim(std::string_view name) const {
  const int64_t* size = find_dim(name);
  if (!size) runtime_error(text(spec_.name, " has no dimension ", name));
  return *size;
}

size_t Arguments::index(std::string_view name) const {
  const size_t i = spec_.index(name);
  if (i >= kMaxArguments) runtime_error(text(spec_.name, " has no argument ", name));
  return i;
}

void Arguments::require_aligned(const char* name) const {
  const size_t i = index(name);
  constexpr uintptr_t kBytes = 16;
  if (reinterpret_cast<uintptr_t>(views_[i].data) % kBytes == 0) return;
  const Reference offset(PyObject_CallMethod(values_[i], "storage_offset", nullptr));
  value_error(text(spec_.name, ": ", name, " must start at a multiple of 16 bytes, got a view with storage offset ",
                   offset ? repr(offset.get()) : "?", " of ", type_name(i), "; pass a clone"));
}

// ---- messages ----

// " with K = 4096, N = 512": the names in the argument's shape that earlier arguments gave a size.
std::string Arguments::bound_dims(const ArgumentSpec& spec) const {
  std::string names;
  for (size_t j = 0; j < spec.shape.rank; ++j) {
    const Dim& dim = spec.shape.dims[j];
    const std::string_view name = dim.form == Dim::Form::kEllipsis ? std::string_view("T") : dim.name;
    if (const int64_t* size = find_dim(name)) {
      names += text(names.empty() ? " with " : ", ",
                    dim.form == Dim::Form::kEllipsis ? std::string_view("product of ...") : name, " = ", *size);
    }
  }
  return names;
}

std::string Arguments::type_name(size_t i) const {
  for (const TypeName& row : kTypeNames) {
    if (row.type == views_[i].type) return row.name;
  }
  return torch_attribute(values_[i], "dtype");
}

std::string Arguments::device_name(size_t i) const {
  const int device = views_[i].device;
  return device < 0 ? attribute(values_[i], "device") : cuda_device(device);
}

std::string Arguments::describe(size_t i) const {
  const TensorView& view = views_[i];
  if (!view.present) return values_[i] ? repr(values_[i]) : "the default";
  if (!view.dense) {
    const std::string layout = torch_attribute(values_[i], "layout");
    if (layout != "strided") return "a tensor of layout " + layout;
    return attribute(values_[i], "is_nested") == "True" ? "a nested tensor" : "a quantized tensor";
  }
  std::string words = type_name(i) + " " + list(view.sizes, view.dim);
  if (!view.is_contiguous()) words += " with strides " + list(view.strides, view.dim);
  const std::string device = device_name(i);
  if (device != "cpu") words += " on " + device;
  return words;
}

void Arguments::fail(const char* name, const std::string& expected, const char* cure) const {
  value_error(text(spec_.name, ": ", name, " must ", expected, ", got ", describe(index(name)), cure));
}

// ---- devices ----

void Arguments::check_device() const {
  if (device_ >= 0) return;
  const size_t count = spec_.count();
  size_t first = count;
  bool bf16 = false;
  for (size_t i = 0; i < count; ++i) {
    const TensorView& view = views_[i];
    if (!view.present) continue;
    const char* name = spec_.arguments[i].name.data();
    if (view.device < 0) {
      value_error(text(spec_.name, ": ", name, " must be on a CUDA device, got a tensor on ", device_name(i)));
    }
    // Fake tensors and wrapper subclasses get this far, and a kernel would read address zero.
    if (!view.data && view.elements() > 0) {
      fail(name, "have memory of its own", "; to trace or wrap the call use torch.ops.awq (awq_kernels.ops)");
    }
    bf16 = bf16 || view.type == kBF16;
    if (first == count) {
      first = i;
    } else if (view.device != views_[first].device) {
      value_error(text(spec_.name, ": ", name, " must be on ", device_name(first), " as ", spec_.arguments[first].name,
                       " is, got a tensor on ", device_name(i)));
    }
  }

  const int device = views_[first].device;
  const int arch = device_arch(device, spec_.name);
  if (!built_for(arch)) {
    runtime_error(text(spec_.name, ": ", cuda_device(device), " is sm_", arch, ", but this module was built for ",
                       kBuiltArchList, "; rebuild with --//config:cuda_archs=", arch));
  }
  if (bf16 && arch < 80) {
    value_error(text(spec_.name, ": bfloat16 needs a GPU of sm_80 or newer, and ", cuda_device(device), " is sm_", arch,
                     " (this module was built for ", kBuiltArchList, "); pass float16"));
  }
  device_ = device;
}

void Arguments::run_launch(cudaError_t (*launch)(void*, cudaStream_t), void* callee) const {
  check_device();
  const cudaStream_t stream = framework::current_stream(device_);
  cudaError_t error = cudaSuccess;
  {
    const WithoutGil without_gil;
    const DeviceGuard guard(device_);
    error = guard.error();
    if (error == cudaSuccess) error = launch(callee, stream);
  }
  if (error != cudaSuccess) {
    runtime_error(text(spec_.name, ": the launch on ", cuda_device(device_), " failed: ", cudaGetErrorName(error), ": ",
                       cudaGetErrorString(error)));
  }
  std::array<PyObject*, kMaxArguments> written;
  size_t count = 0;
  for (size_t i = 0; i < spec_.count(); ++i) {
    if (spec_.arguments[i].written && views_[i].present) written[count++] = values_[i];
  }
  if (count > 0) framework::bump_versions(written.data(), count);
}

// ---- what bindings read and make ----

DType Arguments::dtype(std::string_view name) const {
  switch (tensor(name).type) {
    case kF16: return DType::kFloat16;
    case kBF16: return DType::kBFloat16;
    case kF64: return DType::kFloat64;
    default: return DType::kFloat32;  // the table admits no other type where a binding asks
  }
}

Tensor Arguments::empty(const int64_t* sizes, int dim, std::string_view like, bool swapped) const {
  constexpr int kMaxDim = 64;  // PyTorch's own
  if (dim > kMaxDim) runtime_error(text(spec_.name, ": a result of ", dim, " dimensions"));
  std::array<int64_t, kMaxDim> strides;
  int64_t stride = 1;
  for (int i = dim - 1; i >= 0; --i) {
    const int from = swapped && i < 2 ? 1 - i : i;
    strides[from] = stride;
    stride *= sizes[from] > 1 ? sizes[from] : 1;
  }
  return framework::empty({sizes, strides.data(), dim, static_cast<Types>(tensor(like).type), device_}, memory_);
}

Tensor Arguments::empty_with_last(std::string_view name, int64_t last) const {
  const TensorView& like = tensor(name);
  std::vector<int64_t> sizes(like.sizes, like.sizes + like.dim);
  sizes.back() = last;
  return empty(sizes.data(), like.dim, name, false);
}

// ---- calls ----

PyObject* call(const Function& function, PyObject* const* values, framework::Memory** memory) noexcept {
  try {
    const Arguments arguments(*function.spec, values, memory);
    if (function.returns) {
      Tensor result = function.returns(arguments);
      return result.release();
    }
    function.writes(arguments);
    Py_IncRef(Py_None);
    return Py_None;
  } catch (const PythonError&) {
  } catch (const Error& error) {
    constexpr auto type = [](Error::Kind kind) {
      switch (kind) {
        case Error::Kind::kType: return PyExc_TypeError;
        case Error::Kind::kValue: return PyExc_ValueError;
        default: return PyExc_RuntimeError;
      }
    };
    PyErr_SetString(type(error.kind), error.what());
  } catch (...) {
    framework::set_error();
  }
  return nullptr;
}

// ---- docstrings ----

namespace {

// "name(in_feats, eps=1e-06)": Python reads a signature followed by "--" as __text_signature__, for inspect and
// stubtest.
std::string signature(const FunctionSpec& spec) {
  std::string words = text(spec.name, "(");
  for (size_t i = 0; i < spec.count(); ++i) {
    const ArgumentSpec& argument = spec.arguments[i];
    words += text(i ? ", " : "", argument.name);
    if (!argument.has_default) continue;
    if (argument.kind == Kind::kBool) {
      words += argument.default_value != 0 ? "=True" : "=False";
    } else if (argument.kind == Kind::kInt) {
      words += text("=", static_cast<int64_t>(argument.default_value));
    } else {
      words += "=" + repr(Reference(PyFloat_FromDouble(argument.default_value)).get());
    }
  }
  return words + ")\n--\n\n";
}

}  // namespace

const char* docstring(const FunctionSpec& spec) {
  std::string words = text(signature(spec), spec.formula, "\n\nArgs:\n");
  for (size_t i = 0; i < spec.count(); ++i) {
    const ArgumentSpec& argument = spec.arguments[i];
    words += text("  ", argument.name, ": ");
    switch (argument.kind) {
      case Kind::kTensor:
      case Kind::kOptionalTensor:
        words += argument.same_type_as.empty() ? type_set(built_types(argument.types))
                                               : text("type of ", argument.same_type_as);
        words += " " + shape_text(argument);
        if (argument.layout == Layout::kStrided) words += ", any strides";
        if (argument.reshaped) words += ", or any shape of as many elements";
        if (argument.layout == Layout::kRows) words += ", any stride before the last two dimensions";
        if (argument.kind == Kind::kOptionalTensor) words += ", or None";
        if (argument.written) words += ", written";
        break;
      case Kind::kInt: words += "int"; break;
      case Kind::kFloat: words += "float"; break;
      case Kind::kBool: words += "bool"; break;
      case Kind::kNone: break;
    }
    if (*argument.meaning) words += text("; ", argument.meaning);
    words += ".\n";
  }
  words = text(words, "\nReturns:\n  ", spec.result, ".\n\n",
               "Raises:\n  TypeError, ValueError: an argument is not as above; the message names it.\n",
               "  RuntimeError: the GPU is not among those the module was built for, or the launch failed.\n");
  return (new std::string(std::move(words)))->c_str();
}

}  // namespace awq::bindings

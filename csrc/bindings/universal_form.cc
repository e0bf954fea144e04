#include "csrc/bindings/python.h"
// Python's header comes before all others.
#include "csrc/bindings/universal_form.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "csrc/bindings/dlpack.h"
#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

// What is used of PyTorch. Read once, kept for ever.
struct Torch {
  const dlpack::ExchangeApi* api = nullptr;
  PyTypeObject* tensor = nullptr;     // torch.Tensor
  PyTypeObject* parameter = nullptr;  // torch.nn.Parameter
  PyObject* empty_like = nullptr;
  PyObject* is_neg = nullptr;
  PyObject* increment_version = nullptr;
  PyObject* out_of_memory = nullptr;  // torch.OutOfMemoryError
};

Torch torch;

constexpr std::pair<Types, dlpack::DataType> kTypes[] = {
    {kF16, {dlpack::kFloat, 16, 1}}, {kBF16, {dlpack::kBfloat, 16, 1}}, {kF32, {dlpack::kFloat, 32, 1}},
    {kF64, {dlpack::kFloat, 64, 1}}, {kI8, {dlpack::kInt, 8, 1}},       {kI16, {dlpack::kInt, 16, 1}},
    {kI32, {dlpack::kInt, 32, 1}},   {kI64, {dlpack::kInt, 64, 1}},
};

bool operator==(const dlpack::DataType& a, const dlpack::DataType& b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

unsigned type_bit(const dlpack::DataType& type) {
  for (const auto& [bit, known] : kTypes) {
    if (known == type) return bit;
  }
  return 0;
}

dlpack::DataType data_type(Types type) {
  for (const auto& [bit, known] : kTypes) {
    if (bit == type) return known;
  }
  return {};
}

// A reference that is held, or PythonError.
Reference held(PyObject* owned) {
  if (!owned) throw PythonError();
  return Reference(owned);
}

Reference attribute(PyObject* object, const char* name) { return held(PyObject_GetAttrString(object, name)); }

std::string string(PyObject* object) {
  const Reference words(PyObject_Str(object));
  const char* bytes = words ? PyUnicode_AsUTF8AndSize(words.get(), nullptr) : nullptr;
  if (!bytes) throw PythonError();
  return bytes;
}

int64_t integer(PyObject* object) {
  const long long value = PyLong_AsLongLong(object);
  if (value == -1 && PyErr_Occurred()) throw PythonError();
  return value;
}

// A view of what DLPack cannot express, such as a tensor on the meta device, by its Python attributes.
void view_by_attributes(PyObject* value, TensorView* view) {
  const bool strided = string(attribute(value, "layout").get()) == "torch.strided";
  const bool plain = PyObject_IsTrue(attribute(value, "is_quantized").get()) == 0 &&
                     PyObject_IsTrue(attribute(value, "is_nested").get()) == 0;
  view->dense = strided && plain;
  if (!view->dense) return;
  const Reference sizes = attribute(value, "shape");
  const Reference strides = held(PyObject_CallMethod(value, "stride", nullptr));
  const Py_ssize_t dim = PyTuple_Size(sizes.get());
  view->dim = static_cast<int>(dim);
  view->kept = std::make_unique<int64_t[]>(2 * dim);
  view->sizes = view->kept.get();
  view->strides = view->sizes + dim;
  for (Py_ssize_t i = 0; i < dim; ++i) {
    view->kept[i] = integer(PyTuple_GetItem(sizes.get(), i));
    view->kept[dim + i] = integer(PyTuple_GetItem(strides.get(), i));
  }
  const std::string type = string(attribute(value, "dtype").get());
  constexpr std::pair<Types, const char*> kNames[] = {
      {kF16, "torch.float16"}, {kBF16, "torch.bfloat16"}, {kF32, "torch.float32"}, {kF64, "torch.float64"},
      {kI8, "torch.int8"},     {kI16, "torch.int16"},     {kI32, "torch.int32"},   {kI64, "torch.int64"},
  };
  for (const auto& [bit, name] : kNames) {
    if (type == name) view->type = bit;
  }
  if (PyObject_IsTrue(attribute(value, "is_cuda").get()) == 1) {
    view->device = static_cast<int>(integer(attribute(attribute(value, "device").get(), "index").get()));
  }
}

}  // namespace

namespace framework {

// torch.empty_like of a tensor without memory costs half of what torch.empty with a list of sizes does. One such
// pattern is kept for each of the last shapes that a function returned. Used only under the GIL.
struct Memory {
  struct Pattern {
    PyObject* arguments = nullptr;  // of torch.empty_like: a tuple that holds the pattern
    std::vector<int64_t> layout;    // sizes, then strides
    Types type;
    int device;

    bool fits(const NewTensor& wanted) const {
      const size_t bytes = sizeof(int64_t) * static_cast<size_t>(wanted.dim);
      return arguments && layout.size() == 2 * static_cast<size_t>(wanted.dim) && type == wanted.type &&
             device == wanted.device && memcmp(layout.data(), wanted.sizes, bytes) == 0 &&
             memcmp(layout.data() + wanted.dim, wanted.strides, bytes) == 0;
    }
  };
  static constexpr size_t kPatterns = 16;
  std::array<Pattern, kPatterns> patterns;
};

namespace {

// A tensor on null, with its sizes and strides, in a tuple.
Reference make_pattern(const NewTensor& tensor) {
  struct Owner {
    dlpack::ManagedTensor managed;
    std::vector<int64_t> layout;
  };
  auto owner = std::make_unique<Owner>();
  owner->layout.assign(tensor.sizes, tensor.sizes + tensor.dim);
  owner->layout.insert(owner->layout.end(), tensor.strides, tensor.strides + tensor.dim);
  dlpack::ManagedTensor& managed = owner->managed;
  managed.version = {dlpack::kMajorVersion, 0};
  managed.context = owner.get();
  managed.deleter = [](dlpack::ManagedTensor* self) { delete static_cast<Owner*>(self->context); };
  managed.tensor.device = {dlpack::kCuda, tensor.device};
  managed.tensor.dim = tensor.dim;
  managed.tensor.type = data_type(tensor.type);
  managed.tensor.sizes = owner->layout.data();
  managed.tensor.strides = owner->layout.data() + tensor.dim;
  void* object = nullptr;
  if (torch.api->managed_to_object_no_sync(&managed, &object) != 0) throw PythonError();
  owner.release();  // the object's now
  Reference tuple = held(PyTuple_New(1));
  PyTuple_SetItem(tuple.get(), 0, static_cast<PyObject*>(object));
  return tuple;
}

// A reference of its own: torch.empty_like lets other threads run, and they may replace the pattern.
Reference pattern_of(const NewTensor& tensor, Memory** memory) {
  if (!*memory) *memory = new Memory;
  auto hash = static_cast<size_t>(tensor.device) * 31 + tensor.type;
  for (int i = 0; i < tensor.dim; ++i) hash = hash * 31 + static_cast<size_t>(tensor.sizes[i]);
  Memory::Pattern& pattern = (*memory)->patterns[(hash ^ hash >> 7) % Memory::kPatterns];
  if (!pattern.fits(tensor)) {
    Reference made = make_pattern(tensor);
    pattern.layout.assign(tensor.sizes, tensor.sizes + tensor.dim);
    pattern.layout.insert(pattern.layout.end(), tensor.strides, tensor.strides + tensor.dim);
    pattern.type = tensor.type;
    pattern.device = tensor.device;
    Py_DecRef(std::exchange(pattern.arguments, made.release()));
  }
  Py_IncRef(pattern.arguments);
  return Reference(pattern.arguments);
}

}  // namespace

bool view(PyObject* value, TensorView* view) {
  PyTypeObject* type = Py_TYPE(value);
  if (type != torch.tensor && type != torch.parameter && !PyType_IsSubtype(type, torch.tensor)) return false;
  dlpack::Tensor tensor;
  if (torch.api->view_from_object_no_sync(value, &tensor) != 0) {
    PyErr_Clear();
    view_by_attributes(value, view);
    return true;
  }
  if (tensor.data) view->data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  view->sizes = tensor.sizes;
  view->strides = tensor.strides;
  view->dim = tensor.dim;
  view->type = type_bit(tensor.type);
  if (tensor.device.type == dlpack::kCuda) view->device = tensor.device.index;
  return true;
}

// Such a tensor shows the imaginary parts of a conjugated complex tensor, which lie at odd multiples of their size. So
// the question, which costs twice what the view does, is left out for all others. A view that as_strided() made of such
// a tensor, with an odd offset, escapes.
bool is_negated(PyObject* tensor, const TensorView& view) {
  if (reinterpret_cast<uintptr_t>(view.data) / static_cast<uintptr_t>(view.element_size()) % 2 == 0) return false;
  const Reference answer = held(PyObject_CallFunctionObjArgs(torch.is_neg, tensor, nullptr));
  return answer.get() == Py_True;
}

Tensor empty(const NewTensor& tensor, Memory** memory) {
  const Reference pattern = pattern_of(tensor, memory);
  Reference object = held(PyObject_Call(torch.empty_like, pattern.get(), nullptr));
  dlpack::Tensor made;
  if (torch.api->view_from_object_no_sync(object.get(), &made) != 0) throw PythonError();
  if (!made.data) {
    for (int i = 0; i < tensor.dim; ++i) {
      if (tensor.sizes[i] == 0) return Tensor(object.release(), nullptr);
    }
    throw Error(Error::Kind::kRuntime,
                "torch.empty_like gave a tensor without memory, as under FakeTensorMode; to trace the call use "
                "torch.ops.awq (awq_kernels.ops)");
  }
  return Tensor(object.release(), static_cast<char*>(made.data) + made.byte_offset);
}

namespace {

// The words of an allocation that failed, to become torch's own exception once the GIL is held.
class AllocationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace

Scratch allocate(size_t bytes, int device) {
  auto size = static_cast<int64_t>(bytes);
  dlpack::Tensor prototype{nullptr, {dlpack::kCuda, device}, 1, {dlpack::kUInt, 8, 1}, &size, nullptr, 0};
  dlpack::ManagedTensor* managed = nullptr;
  std::string words;
  const auto set_error = [](void* context, const char*, const char* message) {
    *static_cast<std::string*>(context) = message;
  };
  if (torch.api->allocate(&prototype, &managed, &words, set_error) != 0) throw AllocationError(words);
  return {static_cast<char*>(managed->tensor.data) + managed->tensor.byte_offset, managed};
}

void free(Scratch scratch) {
  auto* managed = static_cast<dlpack::ManagedTensor*>(scratch.owner);
  managed->deleter(managed);
}

cudaStream_t current_stream(int device) {
  void* stream = nullptr;
  if (torch.api->current_stream(dlpack::kCuda, device, &stream) != 0) throw PythonError();
  return static_cast<cudaStream_t>(stream);
}

void bump_versions(PyObject* const* tensors, size_t count) {
  const Reference tuple = held(PyTuple_New(static_cast<Py_ssize_t>(count)));
  for (size_t i = 0; i < count; ++i) {
    Py_IncRef(tensors[i]);
    PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i), tensors[i]);
  }
  held(PyObject_CallFunctionObjArgs(torch.increment_version, tuple.get(), nullptr));
}

void set_error() {
  try {
    throw;
  } catch (const AllocationError& error) {
    PyErr_SetString(strstr(error.what(), "out of memory") ? torch.out_of_memory : PyExc_RuntimeError, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "an unknown C++ exception");
  }
}

}  // namespace framework

// ---- calls from Python ----

namespace {

struct Entry {
  Function function;
  size_t count;
  std::array<PyObject*, kMaxArguments> names;  // interned, kept for ever
  framework::Memory* memory = nullptr;
};

constexpr size_t kMaxFunctions = 32;
std::array<Entry, kMaxFunctions> entries;

bool refuse(const Entry& entry, const std::string& words) {
  PyErr_SetString(PyExc_TypeError, text(entry.function.spec->name, ": ", words).c_str());
  return false;
}

// The arguments in the spec's order, null where the default is to be taken.
bool gather(const Entry& entry, PyObject* const* given, Py_ssize_t positional, PyObject* keywords, PyObject** values) {
  const auto& arguments = entry.function.spec->arguments;
  if (positional > static_cast<Py_ssize_t>(entry.count)) {
    return refuse(entry, text("takes ", entry.count, " arguments, got ", static_cast<int64_t>(positional)));
  }
  for (Py_ssize_t i = 0; i < positional; ++i) values[i] = given[i];
  for (size_t i = static_cast<size_t>(positional); i < entry.count; ++i) values[i] = nullptr;
  const Py_ssize_t named = keywords ? PyTuple_Size(keywords) : 0;
  for (Py_ssize_t j = 0; j < named; ++j) {
    PyObject* name = PyTuple_GetItem(keywords, j);
    size_t i = 0;
    while (i < entry.count && entry.names[i] != name) ++i;
    if (i == entry.count) {  // not interned, or not there
      for (i = 0; i < entry.count && PyUnicode_Compare(entry.names[i], name) != 0;) ++i;
    }
    if (i == entry.count) {
      const char* word = PyUnicode_AsUTF8AndSize(name, nullptr);
      if (!word) return false;
      return refuse(entry, text("there is no argument ", word));
    }
    if (values[i]) return refuse(entry, text(arguments[i].name, " must be given once, got it twice"));
    values[i] = given[positional + j];
  }
  for (size_t i = 0; i < entry.count; ++i) {
    if (!values[i] && !arguments[i].has_default) return refuse(entry, text(arguments[i].name, " must be given"));
  }
  return true;
}

template <size_t kIndex>
PyObject* enter(PyObject*, PyObject* const* given, Py_ssize_t positional, PyObject* keywords) noexcept {
  Entry& entry = entries[kIndex];
  std::array<PyObject*, kMaxArguments> values;
  if (!gather(entry, given, positional, keywords, values.data())) return nullptr;
  return call(entry.function, values.data(), &entry.memory);
}

using Enter = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*) noexcept;

template <size_t... kIndices>
constexpr std::array<Enter, kMaxFunctions> all_enters(std::index_sequence<kIndices...>) {
  return {enter<kIndices>...};
}

constexpr std::array<Enter, kMaxFunctions> kEnters = all_enters(std::make_index_sequence<kMaxFunctions>());

// ---- what has to be there ----

[[noreturn]] void import_error(const std::string& words) {
  PyErr_SetString(PyExc_ImportError, words.c_str());
  throw PythonError();
}

constexpr char kNeeds[] = " needs PyTorch 2.11 or newer with CUDA, and ";
constexpr char kCure[] = ". Install one, such as pip install 'torch>=2.11'.";

// torch.autograd.graph.increment_version, or where there is one the compiled function that it calls, which costs less
// than half. Both take a tuple of tensors.
Reference increment_version(PyObject* torch_module) {
  const Reference compiled = attribute(torch_module, "_C");
  Reference function(PyObject_GetAttrString(compiled.get(), "_increment_version"));
  const Reference none = held(PyTuple_New(0));
  if (function && Reference(PyObject_CallFunctionObjArgs(function.get(), none.get(), nullptr))) return function;
  PyErr_Clear();
  const Reference graph = held(PyImport_ImportModule("torch.autograd.graph"));
  return attribute(graph.get(), "increment_version");
}

void meet_torch(const std::string& name) {
  Reference module(PyImport_ImportModule("torch"));
  if (!module) {
    const bool missing = PyErr_ExceptionMatches(PyExc_ModuleNotFoundError);
    PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    const Reference held_type(type), held_value(value), held_trace(trace);
    const Reference missed(value ? PyObject_GetAttrString(value, "name") : nullptr);
    if (missing && missed && string(missed.get()) == "torch") import_error(name + kNeeds + "there is none" + kCure);
    import_error(text(name, kNeeds, "the one that is installed cannot be imported: ", value ? string(value) : "?"));
  }
  const std::string found = text("this is torch ", string(attribute(module.get(), "__version__").get()), ", in ",
                                 string(attribute(module.get(), "__file__").get()));
  const Reference version = attribute(module.get(), "version");
  Reference cuda(PyObject_GetAttrString(version.get(), "cuda"));
  PyErr_Clear();
  if (!cuda || cuda.get() == Py_None) import_error(text(name, kNeeds, found, ", without CUDA", kCure));
  const Reference tensor = attribute(module.get(), "Tensor");
  Reference capsule(PyObject_GetAttrString(tensor.get(), "__dlpack_c_exchange_api__"));
  if (!capsule) {
    PyErr_Clear();
    import_error(name + kNeeds + found + kCure);
  }
  const auto* api = static_cast<const dlpack::ExchangeApi*>(PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api"));
  if (!api) throw PythonError();
  while (api && api->version.major != dlpack::kMajorVersion) api = api->previous;
  if (!api || !api->view_from_object_no_sync) {
    import_error(text(name, " needs version 1 of DLPack's exchange API, which this PyTorch no longer has: ", found));
  }
  const Reference nn = held(PyImport_ImportModule("torch.nn"));
  torch.tensor = reinterpret_cast<PyTypeObject*>(attribute(module.get(), "Tensor").release());
  torch.parameter = reinterpret_cast<PyTypeObject*>(attribute(nn.get(), "Parameter").release());
  torch.empty_like = attribute(module.get(), "empty_like").release();
  torch.is_neg = attribute(tensor.get(), "is_neg").release();
  torch.increment_version = increment_version(module.get()).release();
  torch.out_of_memory = attribute(module.get(), "OutOfMemoryError").release();
  torch.api = api;
  capsule.release();  // torch.Tensor keeps the table, which is static; held for good measure
}

// The version of the driver, 13000 for CUDA 13.0; 0 where there is none. Asked of the driver itself: a call of the CUDA
// runtime would initialize that, and processes forked later could not use it.
int driver_version() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  auto* get = driver ? reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDriverGetVersion")) : nullptr;
  int version = 0;
  return get && get(&version) == 0 ? version : 0;
}

// The CUDA runtime in this file runs with drivers of its own major version and newer ones.
void check_driver(const std::string& name) {
  const int driver = driver_version();
  const int major = CUDART_VERSION / 1000;
  if (driver == 0 || driver / 1000 >= major) return;
  import_error(text(name, " holds the CUDA ", major, " runtime and needs a driver for CUDA ", major,
                    " or newer; this machine's driver is for CUDA ", driver / 1000, ".", driver % 1000 / 10,
                    ". Update the driver, or build with a toolkit for it (--//config:cuda)."));
}

}  // namespace

PyObject* make_module(const char* name) {
  try {
    const std::string own_name(name);
    const size_t dot = own_name.rfind('.');
    const std::string short_name = dot == std::string::npos ? own_name : own_name.substr(dot + 1);
    check_driver(short_name);
    meet_torch(short_name);
    static std::array<PyMethodDef, kMaxFunctions + 1> methods{};
    static const std::string doc = std::string(kModuleSummary) + kConventions;
    // The interpreter fills in the head. PyModuleDef_HEAD_INIT differs among Python's headers, and the file would.
    static PyModuleDef definition{};
    definition.m_name = name;
    definition.m_doc = doc.c_str();
    definition.m_size = -1;
    definition.m_methods = methods.data();
    Module functions;
    define_module(functions);
    if (functions.size() > kMaxFunctions) throw std::length_error("a module of more functions than kMaxFunctions");
    for (size_t i = 0; i < functions.size(); ++i) {
      Entry& entry = entries[i];
      entry.function = functions[i];
      const FunctionSpec& spec = *functions[i].spec;
      entry.count = spec.count();
      for (size_t j = 0; j < entry.count; ++j) {
        entry.names[j] = held(PyUnicode_InternFromString(spec.arguments[j].name.data())).release();
      }
      methods[i] = {spec.name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(kEnters[i])),
                    METH_FASTCALL | METH_KEYWORDS, docstring(spec)};
    }
    return PyModule_Create(&definition);
  } catch (const PythonError&) {
  } catch (...) {
    framework::set_error();
  }
  return nullptr;
}

}  // namespace awq::bindings

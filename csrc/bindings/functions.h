// The parts of the modules: each function here adds the functions of one kernel family to a module.
#pragma once

#include <type_traits>
#include <vector>

#include "csrc/bindings/arguments.h"

namespace awq::bindings {

// A function of a module: `returns` or `writes` is its body, which gets the checked arguments.
struct Function {
  const FunctionSpec* spec;
  Tensor (*returns)(const Arguments&);
  void (*writes)(const Arguments&);
};

using Module = std::vector<Function>;

// Adds a function to the module: `body` takes the checked Arguments and returns void or Tensor.
template <const FunctionSpec& kSpec, typename Body>
void define(Module& module, Body body) {
  if constexpr (std::is_void_v<std::invoke_result_t<Body, const Arguments&>>) {
    module.push_back({&kSpec, nullptr, body});
  } else {
    module.push_back({&kSpec, body, nullptr});
  }
}

// Calls a function with Python values in its spec's order, null for a default. `memory` is the function's data between
// calls. Returns a new reference, or null with a Python exception set. Needs the GIL.
PyObject* call(const Function& function, PyObject* const* values, framework::Memory** memory) noexcept;

// The end of a module's docstring.
inline constexpr char kConventions[] = R"(

A name in a shape stands for one size in all arguments of a call, `...` for any number of dimensions, whose product is T.
Tensors are contiguous where nothing else is said, and on one CUDA device. A call runs on the current stream of that
device, waits for nothing, takes zero rows, and gives the same bits on every run.)";

void define_w4a16(Module& module);
void define_norm(Module& module);
void define_rope(Module& module);
void define_activation(Module& module);
void define_quantization(Module& module);
void define_w8a8(Module& module);
void define_attention(Module& module);

// The module that is built. //csrc/modules defines these once per module.
extern const char* const kModuleSummary;  // the start of its docstring
void define_module(Module& module);

}  // namespace awq::bindings

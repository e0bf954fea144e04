// What the modules are put together from: each function adds one kernel family's functions to a module.
#pragma once

#include <pybind11/pybind11.h>

#include "csrc/bindings/arguments.h"

namespace awq::bindings {

// The end of a module's docstring.
inline constexpr char kConventions[] = R"(

A name in a shape stands for one size in all arguments of a call, `...` for any number of dimensions, whose product is T.
Tensors are contiguous where nothing else is said, and on one CUDA device. A call runs on the current stream of that
device, waits for nothing, takes zero rows, and gives the same bits on every run.)";

void define_w4a16(py::module_& module);
void define_norm(py::module_& module);
void define_rope(py::module_& module);
void define_activation(py::module_& module);
void define_quantization(py::module_& module);
void define_w8a8(py::module_& module);
void define_attention(py::module_& module);

}  // namespace awq::bindings

// What the modules are put together from: each function adds one kernel family's functions to a module.
#pragma once

#include <pybind11/pybind11.h>

#include "csrc/bindings/arguments.h"

namespace awq::bindings {

void define_w4a16(py::module_& module);
void define_norm(py::module_& module);
void define_rope(py::module_& module);
void define_activation(py::module_& module);
void define_quantization(py::module_& module);
void define_w8a8(py::module_& module);
void define_attention(py::module_& module);

}  // namespace awq::bindings

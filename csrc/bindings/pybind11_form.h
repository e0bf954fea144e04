// A module for one PyTorch and one Python: pybind11 hands over the values, PyTorch's C++ interface the tensors.
#pragma once

#include <pybind11/pybind11.h>

namespace awq::bindings {

// Fills the module, which PYBIND11_MODULE has made.
void fill_module(pybind11::module_& module);

}  // namespace awq::bindings

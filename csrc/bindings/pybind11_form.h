// A module for one PyTorch and one Python. Values come through pybind11, tensors through PyTorch's C++ interface.
#pragma once

#include <pybind11/pybind11.h>

namespace awq::bindings {

// Fills the module that PYBIND11_MODULE has made.
void fill_module(pybind11::module_& module);

}  // namespace awq::bindings

// What Python calls to import a module of the pybind11 form. MODULE_NAME is the module's.
#include "csrc/bindings/pybind11_form.h"

#define DEFINE_MODULE(name, module) PYBIND11_MODULE(name, module)

DEFINE_MODULE(MODULE_NAME, module) { awq::bindings::fill_module(module); }

// A module that says for which Python it was compiled.

#include <Python.h>

namespace {

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "headers_probe", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_headers_probe() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && PyModule_AddStringConstant(module, "VERSION", PY_VERSION) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}

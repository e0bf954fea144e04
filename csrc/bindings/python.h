// CPython's limited API of 3.10. Every later 3.x has it, with the same meaning.
//
// Only calls into the running interpreter change reference counts. The macros of a header know only the interpreters of
// its own time. The macros of 3.12 and newer do not count None, and 3.11 would then free it. The macros are therefore
// disabled here, and the object code is the same with the headers of any Python. PY_SSIZE_T_CLEAN would rename
// functions in some headers.
#pragma once

#ifdef Py_PYTHON_H
#error "include csrc/bindings/python.h in place of Python.h"
#endif
#define Py_LIMITED_API 0x030A0000
#include <Python.h>

#include <utility>

#undef Py_INCREF
#undef Py_DECREF
#undef Py_XINCREF
#undef Py_XDECREF
#undef Py_CLEAR
#undef Py_NewRef
#undef Py_XNewRef
#undef Py_RETURN_NONE
#undef Py_RETURN_TRUE
#undef Py_RETURN_FALSE
#pragma GCC poison Py_INCREF Py_DECREF Py_XINCREF Py_XDECREF Py_CLEAR Py_NewRef Py_XNewRef
#pragma GCC poison Py_RETURN_NONE Py_RETURN_TRUE Py_RETURN_FALSE

namespace awq::bindings {

// A reference that is held, or none.
class Reference {
 public:
  Reference() = default;
  explicit Reference(PyObject* owned) : object_(owned) {}  // takes over the reference
  Reference(Reference&& other) noexcept : object_(other.release()) {}
  Reference& operator=(Reference&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Reference() { Py_DecRef(object_); }  // takes null

  explicit operator bool() const { return object_ != nullptr; }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_ = nullptr;
};

}  // namespace awq::bindings

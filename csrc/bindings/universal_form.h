// A module for every PyTorch from 2.11 on and every CPython from 3.10 on: nothing of PyTorch's libraries is linked.
//
// PyTorch is met through the table of C functions that DLPack specifies (dlpack.h), which torch.Tensor offers, and
// through these public Python functions: torch.empty_like, torch.Tensor.is_neg, torch.autograd.graph.increment_version.
//
// PyTorch's stable C++ interface is not used, for two reasons. Every argument becomes a handle on the heap there, which
// costs a call of eight arguments 3 us more. Every error becomes a RuntimeError.
#pragma once

typedef struct _object PyObject;  // as in Python.h

namespace awq::bindings {

// A new module of this name; null, with ImportError set, if PyTorch or the driver does not fit.
PyObject* make_module(const char* name);

}  // namespace awq::bindings

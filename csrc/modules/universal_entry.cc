// What Python calls to import a module of the universal form. MODULE_NAME is the module's.
#include "csrc/bindings/python.h"
// Python's header comes before all others.
#include "csrc/bindings/universal_form.h"

#define TEXT(name) #name
#define DEFINE_MODULE(name) \
  PyMODINIT_FUNC PyInit_##name() { return awq::bindings::make_module(TEXT(name)); }
#define DEFINE_NAMED_MODULE(name) DEFINE_MODULE(name)

DEFINE_NAMED_MODULE(MODULE_NAME)

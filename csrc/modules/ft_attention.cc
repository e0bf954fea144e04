// ft_attention: decode attention alone.
#include "csrc/bindings/functions.h"

namespace awq::bindings {

const char* const kModuleSummary = "Decode attention for AWQ models on NVIDIA GPUs.";

void define_module(Module& module) { define_attention(module); }

}  // namespace awq::bindings

// ft_attention: decode attention alone.
#include <string>

#include "csrc/bindings/functions.h"

PYBIND11_MODULE(ft_attention, module) {
  module.doc() = std::string("Decode attention for AWQ models on NVIDIA GPUs.") + awq::bindings::kConventions;
  pybind11::options options;
  options.disable_function_signatures();
  awq::bindings::define_attention(module);
}

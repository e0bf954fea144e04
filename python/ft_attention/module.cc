// ft_attention: decode attention alone.
#include "csrc/bindings/functions.h"

PYBIND11_MODULE(ft_attention, module) {
  module.doc() = "Decode attention for AWQ models on NVIDIA GPUs.";
  pybind11::options options;
  options.disable_function_signatures();
  awq::bindings::define_attention(module);
}

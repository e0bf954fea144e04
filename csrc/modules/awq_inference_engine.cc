// awq_inference_engine: all kernel families.
#include <string>

#include "csrc/bindings/functions.h"

PYBIND11_MODULE(awq_inference_engine, module) {
  module.doc() = std::string("Kernels for 4-bit (AWQ) models on NVIDIA GPUs.") + awq::bindings::kConventions;
  // The docstrings state shapes and types, which pybind11's generated signatures would only obscure.
  pybind11::options options;
  options.disable_function_signatures();
  awq::bindings::define_w4a16(module);
  awq::bindings::define_norm(module);
  awq::bindings::define_rope(module);
  awq::bindings::define_w8a8(module);
  awq::bindings::define_quantization(module);
  awq::bindings::define_activation(module);
  awq::bindings::define_attention(module);
}

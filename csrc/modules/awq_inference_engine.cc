// awq_inference_engine: all kernel families.
#include "csrc/bindings/functions.h"

namespace awq::bindings {

const char* const kModuleSummary = "Kernels for 4-bit (AWQ) models on NVIDIA GPUs.";

void define_module(Module& module) {
  define_w4a16(module);
  define_norm(module);
  define_rope(module);
  define_w8a8(module);
  define_quantization(module);
  define_activation(module);
  define_attention(module);
}

}  // namespace awq::bindings

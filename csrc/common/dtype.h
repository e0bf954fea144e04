// Element types as the kernel families name them at run time. No PyTorch.
#pragma once

// AWQ_ENABLE_BF16 is 1 or 0, set for every compile action by //config:bf16. With 0 no bfloat16 code is
// compiled: launch functions answer cudaErrorInvalidValue for DType::kBFloat16.
#ifndef AWQ_ENABLE_BF16
#error "AWQ_ENABLE_BF16 must be defined to 0 or 1"
#endif

namespace awq {

enum class DType : int {
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
};

constexpr const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat16: return "float16";
    case DType::kBFloat16: return "bfloat16";
    case DType::kFloat32: return "float32";
    case DType::kFloat64: return "float64";
  }
  return "";
}

}  // namespace awq

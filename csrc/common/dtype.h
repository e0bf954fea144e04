// Element types, by the names that the kernel families use at run time. No PyTorch.
#pragma once

// //config:bf16 sets AWQ_ENABLE_BF16 to 1 or 0 for every compile action. With 0 no bfloat16 code is compiled. Launch
// functions then return cudaErrorInvalidValue for DType::kBFloat16.
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

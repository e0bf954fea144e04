// Normalizations.
#include "csrc/norm/norm.h"

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

constexpr FunctionSpec kLayerNormForward = {
    "layernorm_forward_cuda",
    "RMSNorm: out = input * rsqrt(mean(input^2) + eps) * gamma over the last dimension.\n\n"
    "Sums in float32; finite float16 results saturate instead of becoming inf.",
    "None; out is written",
    {tensor("input", kFloating, "B S C", ""), tensor_like("gamma", "input", "C", ""),
     written(tensor_like("out", "input", "B S C", "")), scalar("eps", Kind::kFloat, "added to the mean of squares")}};

constexpr FunctionSpec kFusedAddRmsNorm = {
    "fused_add_rms_norm",
    "residual = residual + input, then RMSNorm of it: out = residual * rsqrt(mean(residual^2) + eps) * gamma.\n\n"
    "The sum is rounded to the tensors' type, as an addition of its own would, and the norm is taken of what was "
    "rounded.\n"
    "Finite float16 results of the norm saturate instead of becoming inf.",
    "None; residual and out are written",
    {tensor("input", kFloating, "... C", ""), written(tensor_like("residual", "input", "... C", "")),
     tensor_like("gamma", "input", "C", ""), written(tensor_like("out", "input", "... C", "may be input itself")),
     scalar("eps", Kind::kFloat, "added to the mean of squares")}};

void fused_add_rms_norm(const Arguments& args) {
  RmsNormParams params{};
  params.input = args.data("input");
  params.residual = args.data("residual");
  params.gamma = args.data("gamma");
  params.out = args.data("out");
  params.tokens = args.dim("T");
  params.channels = args.dim("C");
  params.eps = static_cast<float>(args.real("eps"));
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_rms_norm(params, stream); });
}

void layernorm_forward(const Arguments& args) {
  RmsNormParams params{};
  params.input = args.data("input");
  params.gamma = args.data("gamma");
  params.out = args.data("out");
  params.tokens = args.dim("B") * args.dim("S");
  params.channels = args.dim("C");
  params.eps = static_cast<float>(args.real("eps"));
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_rms_norm(params, stream); });
}

constexpr FunctionSpec kRmsNormGeneral = {
    "rms_norm_general",
    "LayerNorm with mean, quantized to int8: y = (input - mean) * rsqrt(var + epsilon) * weight + bias.\n\n"
    "Per token, scaling[t] = max|y| / 127 is written and out = round(y / scaling[t]). Per tensor, out = round(y * "
    "scaling)\n"
    "with the given scaling and without bias.",
    "None; out and, per token, scaling are written",
    {written(tensor("out", kI8, "... C", "")), tensor("input", kFloating, "... C", ""),
     tensor_like("weight", "input", "C", ""), tensor_like("bias", "input", "C", ""),
     written(tensor("scaling", kF16, "S", "S = T, one per token, or S = 1, one for the tensor")),
     scalar("epsilon", Kind::kFloat, "added to the variance"),
     scalar("use_per_token_quant", Kind::kBool, "whether scales are computed per token", 1)}};

void rms_norm_general(const Arguments& args) {
  const bool per_token = args.flag("use_per_token_quant");
  const int64_t scales = per_token ? args.dim("T") : 1;
  args.require(args.dim("S") == scales, "scaling", "be float16 [", scales, "]",
               (per_token ? ", one per token" : ", one for the tensor"));
  LayerNormQuantParams params{};
  params.out = static_cast<int8_t*>(args.data("out"));
  params.input = args.data("input");
  params.weight = args.data("weight");
  params.bias = args.data("bias");
  params.scaling = args.data("scaling");
  params.tokens = args.dim("T");
  params.channels = args.dim("C");
  params.eps = static_cast<float>(args.real("epsilon"));
  params.per_token = per_token;
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_layer_norm_quant(params, stream); });
}

}  // namespace

void define_norm(Module& module) {
  define<kLayerNormForward>(module, layernorm_forward);
  define<kFusedAddRmsNorm>(module, fused_add_rms_norm);
  define<kRmsNormGeneral>(module, rms_norm_general);
}

}  // namespace awq::bindings

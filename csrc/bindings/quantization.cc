// Quantization of activations.
#include "csrc/quantization/quantization.h"

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

constexpr FunctionSpec kInvokeQuant = {
    "invoke_quant",
    "Per-token symmetric int8: scale[t] = max|input[t]| / 127; out = round(input * 127 / max|input[t]|).",
    "None; out and scale are written",
    {written(tensor("out", kI8, "... C", "")), tensor("input", kFloating, "... C", ""),
     written(tensor("scale", kF16, "T", "one per token"))}};

void invoke_quant(const Arguments& args) {
  PerTokenQuantParams params{};
  params.out = static_cast<int8_t*>(args.data("out"));
  params.input = args.data("input");
  params.scale = args.data("scale");
  params.tokens = args.dim("T");
  params.channels = args.dim("C");
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_per_token_quant(params, stream); });
}

}  // namespace

void define_quantization(Module& module) { define<kInvokeQuant>(module, invoke_quant); }

}  // namespace awq::bindings

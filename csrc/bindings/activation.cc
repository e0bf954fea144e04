// Activations.
#include "csrc/activation/activation.h"

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

constexpr FunctionSpec kSiluAndMul = {"silu_and_mul",
                                      "silu(input[..., :d]) * input[..., d:], in float32 with one rounding.",
                                      "Tensor [..., d], type of input",
                                      {tensor("input", kFloating, "... 2d", "gate, then up projection")}};

Tensor silu_and_mul(const Arguments& args) {
  args.check_device();
  Tensor out = args.empty_with_last("input", args.dim("d"));
  SiluAndMulParams params{};
  params.input = args.data("input");
  params.out = out.data();
  params.tokens = args.dim("T");
  params.d = args.dim("d");
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_silu_and_mul(params, stream); });
  return out;
}

constexpr FunctionSpec kGeluAndQuant = {
    "gelu_and_quant",
    "tmp = gelu(input), tanh form; scale_out[t] = max|tmp[t]| / 127; out = round(tmp / scale_out).",
    "None; out, scale_out and tmp are written",
    {written(tensor("out", kI8, "... d", "")), tensor("input", kF16, "... d", ""),
     written(tensor("scale_out", kF16, "T", "one per token")),
     written(reshaped(tensor("tmp", kF16, "... d", "the GELU values")))}};

void gelu_and_quant(const Arguments& args) {
  GeluAndQuantParams params{};
  params.out = static_cast<int8_t*>(args.data("out"));
  params.input = args.data("input");
  params.scale_out = args.data("scale_out");
  params.tmp = args.data("tmp");
  params.tokens = args.dim("T");
  params.d = args.dim("d");
  args.run([&](cudaStream_t stream) { return launch_gelu_and_quant(params, stream); });
}

}  // namespace

void define_activation(Module& module) {
  define<kSiluAndMul>(module, silu_and_mul);
  define<kGeluAndQuant>(module, gelu_and_quant);
}

}  // namespace awq::bindings

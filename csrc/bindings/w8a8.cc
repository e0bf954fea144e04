// 8-bit matrix products.
#include "csrc/w8a8/w8a8.h"

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

constexpr FunctionSpec kGemm = {
    "w8a8_gemm_forward_cuda",
    "out_feats = (in_feats @ kernel.T) * wscales[n] * ascales[m], int32 sums, scaled in float32, rounded once.",
    "None; out_feats is written",
    {tensor("in_feats", kI8, "M K", "K a multiple of 16"), tensor("kernel", kI8, "N K", "the weights"),
     tensor("wscales", kF16, "N", "one per output channel"), tensor("ascales", kF16, "M", "one per row"),
     written(tensor("out_feats", kF16, "M N", ""))}};

constexpr FunctionSpec kGemmBias = {
    "w8a8_gemm_fuse_bias_forward_cuda",
    "out_feats = (in_feats @ kernel.T) * wscales[n] * ascales[m] + bias[n], int32 sums, float32, rounded once.",
    "None; out_feats is written",
    {kGemm.arguments[0], kGemm.arguments[1], kGemm.arguments[2], kGemm.arguments[3], kGemm.arguments[4],
     tensor("bias", kF16, "N", "one per output channel")}};

void run_gemm(const Arguments& args, const void* bias) {
  args.require(args.dim("K") % kW8A8KAlignElems == 0, "in_feats", "have K a multiple of ", kW8A8KAlignElems);
  for (const char* name : {"in_feats", "kernel"}) args.require_aligned(name);
  W8A8GemmParams params{};
  params.in_feats = static_cast<const int8_t*>(args.data("in_feats"));
  params.kernel = static_cast<const int8_t*>(args.data("kernel"));
  params.wscales = args.data("wscales");
  params.ascales = args.data("ascales");
  params.bias = bias;
  params.out_feats = args.data("out_feats");
  params.m = args.dim("M");
  params.n = args.dim("N");
  params.k = args.dim("K");
  args.run([&](cudaStream_t stream) {
    W8A8Plan plan;
    if (const cudaError_t error = plan_w8a8_gemm(params, &plan); error != cudaSuccess) return error;
    const Arguments::Workspace workspace(args, plan.workspace_bytes);
    return launch_w8a8_gemm(params, plan, workspace.data(), stream);
  });
}

}  // namespace

void define_w8a8(Module& module) {
  define<kGemm>(module, [](const Arguments& args) { run_gemm(args, nullptr); });
  define<kGemmBias>(module, [](const Arguments& args) { run_gemm(args, args.data("bias")); });
}

}  // namespace awq::bindings

// Matrix products with 4-bit weights.
#include "csrc/w4a16/w4a16.h"

#include <atomic>

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

// What set_constant_weights() was last told.
std::atomic<bool> constant_weights{false};

constexpr FunctionSpec kSetConstantWeights = {
    "set_constant_weights",
    "Whether 4-bit products may load weights before the kernel before them in the stream has ended.\n\n"
    "Until it is told otherwise, a product assumes that this kernel may be the one that writes its weights, scales or "
    "zero points.\n"
    "With `constant` true, products of few rows load them ahead, on GPUs with programmatic launch (sm_90 and newer).\n"
    "Set it once weights are loaded, and to false before they are changed again.\n"
    "A CUDA graph keeps what held when it was captured.",
    "None",
    {scalar("constant", Kind::kBool, "for all threads and devices of the process")}};

void set_constant_weights(const Arguments& args) {
  constant_weights.store(args.flag("constant"), std::memory_order_relaxed);
}

// Scales and zero points come in as many rows (v2) or columns (v1) as there are groups, rounded up.
constexpr int64_t padded_groups(int64_t k, int64_t group_size) {
  const int64_t multiple = group_size >= 128 ? 8 : group_size == 64 ? 16 : 32;
  return (k / group_size + multiple - 1) / multiple * multiple;
}

// Checks the padded number of groups, P, against K and G.
void require_groups(const Arguments& args, const char* name, int64_t k, int64_t group_size) {
  args.require(args.dim("P") == padded_groups(k, group_size), name, "have P = ", padded_groups(k, group_size),
               " (K/G = ", k / group_size, " groups of ", group_size, ", padded)");
}

// ---- layout v2 ----

constexpr const char* kV2Formula =
    "in_feats @ w.T with w[n, k] = scales[k // G, n] * q[n, k] + zeros[k // G, n].\n\n"
    "4-bit weights in layout v2, see awq_kernels.packing; sums in float32.";

constexpr FunctionSpec kGemvV2 = {
    "gemv_forward_cuda_new",
    kV2Formula,
    "Tensor [..., N], type of in_feats",
    {tensor("in_feats", kHalf, "... K", "m rows; K a multiple of 64 and of G"),
     tensor("kernel", kI16, "N/4 K", "packed q, four rows interleaved"),
     tensor_like("scaling_factors", "in_feats", "P N",
                 "P is K/G rounded up to 8 (G >= 128), 16 (G = 64) or 32 (G = 32)"),
     tensor_like("zeros", "in_feats", "P N", "-scale * zero point, padded as the scales"),
     scalar("m", Kind::kInt, "rows of in_feats"), scalar("n", Kind::kInt, "N"), scalar("k", Kind::kInt, "K"),
     scalar("group_size", Kind::kInt, "G: 32, 64 or a multiple of 128")}};

constexpr FunctionSpec kGemmV2 = {
    "gemm_forward_cuda_new",
    kV2Formula,
    "Tensor [..., N], type of in_feats",
    {tensor("in_feats", kHalf, "... K", "any number of rows; K a multiple of 64 and of G"),
     tensor("kernel", kI16, "N/4 K", "packed q, four rows interleaved"),
     tensor_like("scales", "in_feats", "P N", "P tells G: K/G rounded up to 8 (G = 128), 16 (G = 64) or 32 (G = 32)"),
     tensor_like("zeros", "in_feats", "P N", "-scale * zero point, padded as the scales")}};

Tensor run_v2(const Arguments& args, const char* scales, int64_t group_size) {
  const int64_t k = args.dim("K");
  args.require(k > 0 && k % 64 == 0 && k % group_size == 0, "in_feats",
               "have K a positive multiple of 64 and of G = ", group_size);
  args.require(args.dim("N") > 0, "kernel", "have N > 0");
  require_groups(args, scales, k, group_size);
  for (const char* name : {"in_feats", "kernel", scales, "zeros"}) args.require_aligned(name);

  args.check_device();
  Tensor out = args.empty_with_last("in_feats", args.dim("N"));
  W4A16V2Params params{};
  params.in = args.data("in_feats");
  params.weights = static_cast<const int16_t*>(args.data("kernel"));
  params.scales = args.data(scales);
  params.zeros = args.data("zeros");
  params.out = out.data();
  params.m = args.dim("T");
  params.n = args.dim("N");
  params.k = k;
  params.group_size = static_cast<int>(group_size);
  params.dtype = args.dtype("in_feats");
  params.constant_weights = constant_weights.load(std::memory_order_relaxed);
  args.run([&](cudaStream_t stream) {
    W4A16Plan plan;
    if (const cudaError_t error = plan_w4a16_v2(params, &plan); error != cudaSuccess) return error;
    const Arguments::Workspace workspace(args, plan.workspace_bytes);
    return launch_w4a16_v2(params, plan, workspace.data(), stream);
  });
  return out;
}

Tensor gemv_v2(const Arguments& args) {
  for (const auto& [name, dim] : {std::pair{"m", "T"}, {"n", "N"}, {"k", "K"}}) {
    args.require(args.integer(name) == args.dim(dim), name, "be ", args.dim(dim), ", as the tensors have");
  }
  const int64_t group_size = args.integer("group_size");
  args.require(group_size == 32 || group_size == 64 || (group_size > 0 && group_size % 128 == 0), "group_size",
               "be 32, 64 or a multiple of 128");
  return run_v2(args, "scaling_factors", group_size);
}

Tensor gemm_v2(const Arguments& args) {
  // The padded counts of the three group sizes differ for every K, so the shape is unambiguous among them.
  const int64_t k = args.dim("K");
  for (const int64_t group_size : {128, 64, 32}) {
    if (args.dim("P") == padded_groups(k, group_size)) return run_v2(args, "scales", group_size);
  }
  args.require(false, "scales", "have P = ", padded_groups(k, 128), " (G = 128), ", padded_groups(k, 64),
               " (G = 64) or ", padded_groups(k, 32), " (G = 32) for K = ", k);
  return Tensor();
}

// ---- layout v1 ----

constexpr const char* kV1Formula =
    "in_feats @ w.T with w[n, k] = scaling_factors[n, k // G] * (q[n, k] - zero_point[n, k // G]).\n\n"
    "4-bit weights in layout v1: nibble i of int32 word j is element 8j + i; sums in float32.";

constexpr FunctionSpec kGemvV1 = {
    "gemv_forward_cuda",
    kV1Formula,
    "Tensor float16 [M, N]",
    {tensor("in_feats", kF16, "M K", "K a multiple of G"),
     tensor("kernel", kI32, "N K/8", "packed q; N a multiple of 4"),
     tensor("scaling_factors", kF16, "N P", "P is K/G rounded up to 8 (G >= 128) or 16 (G = 64)"),
     tensor("zeros", kI32, "N P/8", "packed zero points"),
     scalar("group_size", Kind::kInt, "G: 64 or a multiple of 128")}};

constexpr FunctionSpec kGemmV1 = {
    "gemm_forward_cuda",
    kV1Formula,
    "Tensor float16 [M, N]",
    {kGemvV1.arguments[0], kGemvV1.arguments[1], kGemvV1.arguments[2], kGemvV1.arguments[3], kGemvV1.arguments[4],
     scalar("split_k_iters", Kind::kInt, "a hint for splitting K, which this implementation chooses itself")}};

Tensor run_v1(const Arguments& args) {
  const int64_t k = args.dim("K");
  const int64_t group_size = args.integer("group_size");
  args.require(group_size == 64 || (group_size > 0 && group_size % 128 == 0), "group_size",
               "be 64 or a multiple of 128");
  args.require(k > 0 && k % group_size == 0, "in_feats", "have K a positive multiple of G = ", group_size);
  args.require(args.dim("N") > 0 && args.dim("N") % 4 == 0, "kernel", "have N a positive multiple of 4");
  require_groups(args, "scaling_factors", k, group_size);
  for (const char* name : {"in_feats", "kernel", "scaling_factors", "zeros"}) args.require_aligned(name);

  args.check_device();
  Tensor out = args.empty_with_last("in_feats", args.dim("N"));
  W4A16V1Params params{};
  params.in = args.data("in_feats");
  params.weights = static_cast<const int32_t*>(args.data("kernel"));
  params.scales = args.data("scaling_factors");
  params.zeros = static_cast<const int32_t*>(args.data("zeros"));
  params.out = out.data();
  params.m = args.dim("M");
  params.n = args.dim("N");
  params.k = k;
  params.scales_row_stride_elems = args.dim("P");
  params.zeros_row_stride_elems = args.dim("P") / 8;
  params.group_size = static_cast<int>(group_size);
  params.constant_weights = constant_weights.load(std::memory_order_relaxed);
  args.run([&](cudaStream_t stream) {
    W4A16Plan plan;
    if (const cudaError_t error = plan_w4a16_v1(params, &plan); error != cudaSuccess) return error;
    const Arguments::Workspace workspace(args, plan.workspace_bytes);
    return launch_w4a16_v1(params, plan, workspace.data(), stream);
  });
  return out;
}

Tensor gemm_v1(const Arguments& args) {
  args.require(args.integer("split_k_iters") > 0, "split_k_iters", "be positive");
  return run_v1(args);
}

}  // namespace

void define_w4a16(Module& module) {
  define<kGemvV2>(module, gemv_v2);
  define<kGemmV2>(module, gemm_v2);
  define<kGemvV1>(module, run_v1);
  define<kGemmV1>(module, gemm_v1);
  define<kSetConstantWeights>(module, set_constant_weights);
}

}  // namespace awq::bindings

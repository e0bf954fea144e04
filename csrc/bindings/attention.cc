// Decode attention.
#include "csrc/attention/single_query_attention.h"

#include <limits>

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

#define AWQ_TEXT_OF(...) #__VA_ARGS__
#define AWQ_TEXT(...) AWQ_TEXT_OF(__VA_ARGS__)

constexpr FunctionSpec kSingleQueryAttention = {
    "single_query_attention",
    "Attention of one new token per sequence against a circular key-value cache.\n\n"
    "Sequence b is at position t = length_per_sample_[b], or timestep. Turns q and k to position t, writes k and v "
    "into slot\n"
    "t % L of the caches and attends to positions max(0, t + 1 - L) .. t with scale 1 / sqrt(D), softmax in float32.",
    "Tensor [B, H, D], type of q",
    {tensor("q", kFloating, "B H D", "D is one of " AWQ_TEXT(AWQ_HEAD_DIMS), Layout::kRows),
     tensor_like("k", "q", "B Hk D", "H a multiple of Hk", Layout::kRows),
     tensor_like("v", "q", "B Hk D", "", Layout::kRows),
     written(tensor_like("k_cache", "q", "B Hk Dx L x", "x = 8 elements of 16 bits or 4 of float32; Dx = D / x")),
     written(tensor_like("v_cache", "q", "B Hk L D", "")),
     optional(tensor("length_per_sample_", kI32, "B", "position of each sequence")),
     optional(tensor("alibi_slopes_", kF32, "H", "adds slope * (position - t) to a logit")),
     scalar("timestep", Kind::kInt, "position of all sequences; with length_per_sample_ their upper bound"),
     scalar("rotary_embedding_dim", Kind::kInt, "elements of a head that turn; 0 for none", 0),
     scalar("rotary_base", Kind::kFloat, "base of the angles", 10000.0),
     scalar("rotary_scale", Kind::kFloat, "factor on the position", 1.0),
     scalar("neox_rotary_style", Kind::kBool, "halves of a head instead of neighbouring pairs", 1)}};

Tensor attention(const Arguments& args) {
  const int64_t head_dim = args.dim("D"), heads = args.dim("H"), kv_heads = args.dim("Hk"), length = args.dim("L");
  const int64_t x = args.tensor("q").element_size() == 2 ? 8 : 4;
  bool known = false;
  for (const int64_t d : kHeadDims) known = known || d == head_dim;
  args.require(known, "q", "have D of " AWQ_TEXT(AWQ_HEAD_DIMS));
  args.require(heads > 0, "q", "have H > 0");
  args.require(kv_heads > 0 && heads % kv_heads == 0, "k", "have Hk that divides H = ", heads);
  args.require(args.dim("x") == x && args.dim("Dx") == head_dim / x, "k_cache", "be [B, Hk, ", head_dim / x, ", L, ", x,
               "]");
  constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
  args.require(args.dim("B") <= kMaxInt && heads <= kMaxInt, "q", "have B and H below 2^31");
  args.require(length > 0 && length <= kMaxInt, "k_cache", "have L in 1 .. 2^31 - 1");
  for (const char* name : {"k_cache", "v_cache"}) args.require_aligned(name);

  const int64_t timestep = args.integer("timestep"), rotary_dim = args.integer("rotary_embedding_dim");
  args.require(timestep >= 0 && timestep <= kMaxInt, "timestep", "be in 0 .. 2^31 - 1");
  args.require(rotary_dim >= 0 && rotary_dim <= head_dim && rotary_dim % 2 == 0, "rotary_embedding_dim",
               "be even and in 0 .. D = ", head_dim);
  args.require(rotary_dim == 0 || args.real("rotary_base") > 0, "rotary_base", "be positive");

  args.check_device();
  Tensor out = args.empty({args.dim("B"), heads, head_dim}, "q");
  SingleQueryAttentionParams params{};
  params.out = out.data();
  params.q = args.data("q");
  params.k = args.data("k");
  params.v = args.data("v");
  params.k_cache = args.data("k_cache");
  params.v_cache = args.data("v_cache");
  params.lengths = static_cast<const int32_t*>(args.data("length_per_sample_"));
  params.alibi_slopes = static_cast<const float*>(args.data("alibi_slopes_"));
  params.q_batch_stride_elems = args.tensor("q").stride(0);
  params.k_batch_stride_elems = args.tensor("k").stride(0);
  params.v_batch_stride_elems = args.tensor("v").stride(0);
  params.batch = static_cast<int>(args.dim("B"));
  params.heads = static_cast<int>(heads);
  params.kv_heads = static_cast<int>(kv_heads);
  params.head_dim = static_cast<int>(head_dim);
  params.cache_len = static_cast<int>(length);
  params.timestep = static_cast<int>(timestep);
  params.dtype = args.dtype("q");
  params.rotary_dim = static_cast<int>(rotary_dim);
  params.rotary_base = args.real("rotary_base");
  params.rotary_scale = args.real("rotary_scale");
  params.neox_rotary_style = args.flag("neox_rotary_style");
  args.run([&](cudaStream_t stream) {
    SingleQueryAttentionPlan plan;
    if (const cudaError_t error = plan_single_query_attention(params, &plan); error != cudaSuccess) return error;
    const Arguments::Workspace workspace(args, plan.workspace_bytes);
    return launch_single_query_attention(params, plan, workspace.data(), stream);
  });
  return out;
}

}  // namespace

void define_attention(Module& module) { define<kSingleQueryAttention>(module, attention); }

}  // namespace awq::bindings

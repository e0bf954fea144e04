// Rotary position embeddings.
#include "csrc/rope/rope.h"

#include <limits>

#include "csrc/bindings/functions.h"

namespace awq::bindings {
namespace {

constexpr FunctionSpec kRotaryNeox = {
    "rotary_embedding_neox",
    "Turns query and key in place by their positions, NeoX style: element i with element i + rot_dim / 2.\n\n"
    "Only the first rot_dim elements of each head turn.",
    "None; query and key are written",
    {tensor("positions", kI64, "B S", "rows of cos_sin_cache"),
     written(tensor("query", kFloating | kF64, "B S 1 H head_size", "", Layout::kRows)),
     written(tensor_like("key", "query", "B S 1 Hk head_size", "", Layout::kRows)),
     scalar("head_size", Kind::kInt, "elements per head"),
     tensor_like("cos_sin_cache", "query", "max_position rot_dim",
                 "rot_dim / 2 cosines, then as many sines; rot_dim even and at most head_size")}};

// The stride from one token to the next; -1 where the tokens are not evenly spaced.
int64_t token_stride(const TensorView& tensor) {
  const int64_t b = tensor.size(0), s = tensor.size(1);
  if (s > 1 && b > 1 && tensor.stride(0) != s * tensor.stride(1)) return -1;
  return s > 1 ? tensor.stride(1) : tensor.stride(0);
}

void rotary_neox(const Arguments& args) {
  const int64_t head_size = args.dim("head_size"), rot_dim = args.dim("rot_dim");
  args.require(args.integer("head_size") == head_size, "head_size", "be ", head_size, ", as query has");
  args.require(rot_dim % 2 == 0 && rot_dim <= head_size, "cos_sin_cache",
               "have rot_dim even and at most head_size = ", head_size);
  constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
  args.require(args.dim("H") <= kMaxInt && head_size <= kMaxInt, "query", "have H and head_size below 2^31");
  args.require(args.dim("Hk") <= kMaxInt, "key", "have Hk below 2^31");
  const int64_t tokens = args.dim("B") * args.dim("S");
  for (const auto& [name, heads] : {std::pair{"query", args.dim("H")}, {"key", args.dim("Hk")}}) {
    // Tokens that overlap would be turned several times.
    args.require(tokens <= 1 || token_stride(args.tensor(name)) >= heads * head_size, name,
                 "have the same stride from each token to the next, of at least a token's elements");
  }
  RotaryNeoxParams params{};
  params.positions = static_cast<const int64_t*>(args.data("positions"));
  params.query = args.data("query");
  params.key = args.data("key");
  params.cos_sin_cache = args.data("cos_sin_cache");
  params.tokens = tokens;
  params.max_position = args.dim("max_position");
  params.query_stride_elems = token_stride(args.tensor("query"));
  params.key_stride_elems = token_stride(args.tensor("key"));
  params.query_heads = static_cast<int>(args.dim("H"));
  params.key_heads = static_cast<int>(args.dim("Hk"));
  params.head_size = static_cast<int>(head_size);
  params.rot_dim = static_cast<int>(rot_dim);
  params.dtype = args.dtype("query");
  args.run([&](cudaStream_t stream) { return launch_rotary_neox(params, stream); });
}

constexpr FunctionSpec kRopeWithPos = {
    "fused_rope_with_pos_forward_func",
    "input * cos(freqs) + rotate_half(input) * sin(freqs) on the first d2 elements of each head, the rest copied.\n\n"
    "The token at [i, j] turns by the angles in row j * s + i of freqs.",
    "Tensor [s, b, h, d], type of input; laid out as [b, s, h, d] in memory if transpose_output_memory",
    {tensor("input", kFloating, "s b h d", "", Layout::kStrided),
     tensor("freqs", kF32, "... d2", "angles in radians, s * b rows; d2 even and at most d"),
     scalar("transpose_output_memory", Kind::kBool, "the result's order in memory")}};

Tensor rope_with_pos(const Arguments& args) {
  const int64_t s = args.dim("s"), b = args.dim("b"), h = args.dim("h"), d = args.dim("d"), d2 = args.dim("d2");
  args.require(args.dim("T") == s * b, "freqs", "have s * b = ", s * b, " rows");
  args.require(d2 % 2 == 0 && d2 <= d, "freqs", "have d2 even and at most d = ", d);

  args.check_device();
  const TensorView& input = args.tensor("input");
  const bool transpose = args.flag("transpose_output_memory");
  Tensor out = args.empty({s, b, h, d}, "input", transpose);
  RopeWithPosParams params{};
  params.input = input.data;
  params.freqs = static_cast<const float*>(args.data("freqs"));
  params.out = out.data();
  params.s = s;
  params.b = b;
  params.h = h;
  params.d = d;
  params.d2 = d2;
  params.stride_s_elems = input.stride(0);
  params.stride_b_elems = input.stride(1);
  params.stride_h_elems = input.stride(2);
  params.stride_d_elems = input.stride(3);
  params.transpose_output_memory = transpose;
  params.dtype = args.dtype("input");
  args.run([&](cudaStream_t stream) { return launch_rope_with_pos(params, stream); });
  return out;
}

}  // namespace

void define_rope(Module& module) {
  define<kRotaryNeox>(module, rotary_neox);
  define<kRopeWithPos>(module, rope_with_pos);
}

}  // namespace awq::bindings

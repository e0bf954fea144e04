// The arguments of a function of a module, as data. The argument check and the docstring are both made from it.
//
//   constexpr FunctionSpec kSpec = {
//       "silu_and_mul", "silu(input[..., :d]) * input[..., d:]", "Tensor [..., d], dtype of input",
//       {tensor("input", kFloating, "... 2d", "gate, then up projection")}};
//
// A shape is a list of dimensions:
//   K         a name: one size, the same in all arguments of a call
//   N/4, 2d   a quotient or a multiple of a named size
//   8         a number: this size
//   ...       only at the start: any number of dimensions. Their product is the size `T`
// A shape cannot state every relation between sizes, such as padding. The binding checks these with Arguments::require,
// after the checks of the table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace awq::bindings {

// Element types a tensor may have, as a set.
enum Types : unsigned {
  kF16 = 1u << 0,
  kBF16 = 1u << 1,
  kF32 = 1u << 2,
  kF64 = 1u << 3,
  kI8 = 1u << 4,
  kI16 = 1u << 5,
  kI32 = 1u << 6,
  kI64 = 1u << 7,
  kHalf = kF16 | kBF16,
  kFloating = kF16 | kBF16 | kF32,
};

enum class Kind { kNone, kTensor, kOptionalTensor, kInt, kFloat, kBool };

enum class Layout {
  kContiguous,
  kStrided,  // any strides: the binding passes them on
  kRows,     // the last two dimensions contiguous, any stride before them
};

struct Dim {
  enum class Form { kNamed, kConstant, kEllipsis };
  Form form = Form::kConstant;
  std::string_view name;
  int64_t factor = 1;  // size = factor * name / divisor; for kConstant the size itself
  int64_t divisor = 1;
};

constexpr size_t kMaxRank = 6;
constexpr size_t kMaxArguments = 12;

struct Shape {
  std::array<Dim, kMaxRank> dims{};
  size_t rank = 0;  // with the ellipsis counted as one
  constexpr bool has_ellipsis() const { return rank > 0 && dims[0].form == Dim::Form::kEllipsis; }
};

namespace detail {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr int64_t number(std::string_view text) {
  int64_t value = 0;
  for (char c : text) value = 10 * value + (c - '0');
  return value;
}

constexpr Dim parse_dim(std::string_view text) {
  Dim dim;
  if (text == "...") {
    dim.form = Dim::Form::kEllipsis;
    return dim;
  }
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  if (digits > 0) dim.factor = number(text.substr(0, digits));
  text = text.substr(digits);
  if (text.empty()) return dim;
  dim.form = Dim::Form::kNamed;
  const size_t slash = text.find('/');
  dim.name = text.substr(0, slash);
  if (slash != std::string_view::npos) dim.divisor = number(text.substr(slash + 1));
  return dim;
}

constexpr Shape parse_shape(std::string_view text) {
  Shape shape;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    shape.dims[shape.rank++] = parse_dim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return shape;
}

}  // namespace detail

struct ArgumentSpec {
  std::string_view name;  // of a literal, so that data() ends in a zero
  Kind kind = Kind::kNone;
  unsigned types = 0;             // for tensors: the set of types
  std::string_view same_type_as;  // for tensors: an earlier tensor whose type this one has
  std::string_view shape_text;
  Shape shape{};
  Layout layout = Layout::kContiguous;
  bool reshaped = false;  // any shape of as many elements will do
  bool written = false;   // the call writes it
  const char* meaning = "";
  bool has_default = false;
  double default_value = 0;  // of kInt, kFloat and kBool; an optional tensor's is None
};

constexpr ArgumentSpec tensor(std::string_view name, unsigned types, std::string_view shape, const char* meaning,
                              Layout layout = Layout::kContiguous) {
  ArgumentSpec spec;
  spec.name = name;
  spec.kind = Kind::kTensor;
  spec.types = types;
  spec.shape_text = shape;
  spec.shape = detail::parse_shape(shape);
  spec.layout = layout;
  spec.meaning = meaning;
  return spec;
}

// A tensor of the type that the tensor `other` has.
constexpr ArgumentSpec tensor_like(std::string_view name, std::string_view other, std::string_view shape,
                                   const char* meaning, Layout layout = Layout::kContiguous) {
  ArgumentSpec spec = tensor(name, 0, shape, meaning, layout);
  spec.same_type_as = other;
  return spec;
}

constexpr ArgumentSpec written(ArgumentSpec spec) {
  spec.written = true;
  return spec;
}

// For scratch memory that callers keep flat; all dimensions have to be those of earlier arguments.
constexpr ArgumentSpec reshaped(ArgumentSpec spec) {
  spec.reshaped = true;
  return spec;
}

constexpr ArgumentSpec optional(ArgumentSpec spec) {
  spec.kind = Kind::kOptionalTensor;
  return spec;
}

constexpr ArgumentSpec scalar(std::string_view name, Kind kind, const char* meaning) {
  ArgumentSpec spec;
  spec.name = name;
  spec.kind = kind;
  spec.meaning = meaning;
  return spec;
}

constexpr ArgumentSpec scalar(std::string_view name, Kind kind, const char* meaning, double default_value) {
  ArgumentSpec spec = scalar(name, kind, meaning);
  spec.has_default = true;
  spec.default_value = default_value;
  return spec;
}

// Whether two names are the same. Names are looked up on every call and are short: a loop beats strlen and memcmp.
constexpr bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

struct FunctionSpec {
  const char* name;
  const char* formula;  // what it computes, one or more lines
  const char* result;   // what it returns
  std::array<ArgumentSpec, kMaxArguments> arguments{};

  constexpr size_t count() const {
    size_t n = 0;
    while (n < kMaxArguments && arguments[n].kind != Kind::kNone) ++n;
    return n;
  }

  constexpr size_t index(std::string_view name) const {
    for (size_t i = 0; i < count(); ++i) {
      if (same(name, arguments[i].name)) return i;
    }
    return kMaxArguments;
  }
};

}  // namespace awq::bindings

#include "tests/cases/coverage.hpp"

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

// Rows that one chunk of a reduction takes (kernels/base/parallel.hpp): more need a second level.
constexpr Index kFewRows = 128;
// Lanes of the widest vectors: a width that is no multiple has a tail.
constexpr Index kLanes = 16;

std::string size_class(const Shape& shape) {
  if (shape.size() == 0) return "empty";
  const Index width = shape.rank() > 0 ? shape.back() : 1;
  const Index rows = shape.size() / width;
  return fmt::format("{}x{}", rows > kFewRows ? "many" : "few",
                     width % kLanes == 0 ? "whole" : "tail");
}

// For operands that are repeated: which axes of the result, from the last on.
std::string broadcast_class(const Shape& operand, const Shape& result) {
  std::string axes;
  for (int i = 1; i <= result.rank(); ++i) {
    const Index own = i <= operand.rank() ? operand[-i] : 1;
    if (own == result[-i]) continue;
    if (own != 1) return {};  // another kind of op
    axes += fmt::format("{}", i);
  }
  return axes.empty() ? axes : "/" + axes;
}

}  // namespace

std::string signature(const Node& node) {
  std::string text = form(node) + "(";
  for (const Value& v : node.inputs) {
    if (text.back() != '(') text += ", ";
    if (!v.given) {
      text += "-";
      continue;
    }
    text += fmt::format("{}{} rank{} {}{}", v.slot >= 0 ? "d" : "", name(v.dtype), v.shape.rank(),
                        size_class(v.shape), broadcast_class(v.shape, node.outputs[0].shape));
  }
  return text + ")";
}

std::set<std::string> signatures(const Tape& tape) {
  std::set<std::string> all;
  for (const Node& node : tape.nodes()) all.insert(signature(node));
  return all;
}

const std::set<std::string>& covered_signatures() {
  static const std::set<std::string> all = [] {
    std::set<std::string> found;
    for (int i = 0; i < kOps; ++i) {
      for (const Case& c : cases(static_cast<Op>(i))) {
        const std::vector<bool> wanted = differentiated(c);
        for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
          Tape tape;
          std::vector<Tensor> inputs;
          for (std::size_t k = 0; k < c.inputs.size(); ++k) {
            inputs.push_back(converted(c.inputs[k], dtype));
            if (wanted[k]) tape.watch(inputs[k]);
          }
          {
            const Recording on(tape);
            c.f(inputs);
          }
          found.merge(signatures(tape));
        }
      }
    }
    return found;
  }();
  return all;
}

}  // namespace posetape

#include "engine/finite_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/dispatch.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

// Whether it has numbers that can be other than finite.
bool is_real(const Tensor& t) {
  return t.defined() &&
         (t.dtype() == DType::f64 || t.dtype() == DType::f32 || t.dtype() == DType::bf16);
}

std::optional<NotFinite> first_bad(const Tensor& t) {
  return is_real(t) ? first_not_finite(t) : std::nullopt;
}

std::string number(double x) {
  return std::isnan(x) ? "nan" : fmt::format("{:g}", x);  // whatever its sign
}

// "[1, 0]" of element 3 of [2, 3].
std::string place(const Shape& shape, Index element) {
  std::vector<Index> at(static_cast<std::size_t>(shape.rank()));
  Index rest = element;
  for (int i = shape.rank(); i-- > 0; rest /= shape[i])
    at[static_cast<std::size_t>(i)] = rest % shape[i];
  return fmt::format("[{}]", fmt::join(at, ", "));
}

std::string kind(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", name(dtype), shape.text());
}

// What a tensor beside the bad one holds: its element in the same place, or what lies between.
std::string beside(const Tensor& t, const Shape& shape, Index element) {
  if (!is_real(t)) return "";
  const std::vector<double> values = t.to_doubles();
  if (values.empty()) return "";
  if (t.shape() == shape) {
    return fmt::format(", {} there", number(values[static_cast<std::size_t>(element)]));
  }
  const auto [low, high] = std::ranges::minmax(values);
  return fmt::format(", {} to {}", number(low), number(high));
}

}  // namespace

FiniteWatch::FiniteWatch(const ParameterList& parameters) {
  for (const ParameterList::Entry& e : parameters.entries()) names_.emplace(e.value.id(), e.name);
}

bool FiniteWatch::named(const Named& value) {
  if (value.tensor.defined()) {
    names_.try_emplace(value.tensor.id(), fmt::format("{}{}", scope(), value.name));
  }
  return false;
}

std::string FiniteWatch::text(const char* role, std::size_t number, const Value& value) const {
  const auto known = names_.find(value.id);
  return fmt::format("{} {}: {}{}", role, number, known != names_.end() ? known->second + " " : "",
                     kind(value.dtype, value.shape));
}

void FiniteWatch::after_forward(const Node& node, Tensors inputs, Tensors outputs) {
  if (in_rule_ || !found_.empty()) return;
  std::string in(scope());
  if (!in.empty()) in = " in " + in.substr(0, in.size() - 1);
  const std::string op = form(node) + in;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (scopes_.contains(node.inputs[i].id)) continue;  // of an op, whose outputs were finite
    const auto bad = first_bad(inputs[i]);
    if (!bad) continue;
    found_ = fmt::format("{}, forward: {} is {} at {}", op, text("input", i, node.inputs[i]),
                         number(bad->value), place(inputs[i].shape(), bad->index));
    return;
  }
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const auto bad = first_bad(outputs[o]);
    scopes_.emplace(node.outputs[o].id, in);
    if (!bad) continue;
    found_ = fmt::format("{}, forward: {} is {} at {}", op, text("output", o, node.outputs[o]),
                         number(bad->value), place(outputs[o].shape(), bad->index));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].defined()) continue;
      found_ += "; " + text("input", i, node.inputs[i]) +
                beside(inputs[i], outputs[o].shape(), bad->index);
    }
    return;
  }
}

void FiniteWatch::before_rule(const Node&, Backward&) {
  in_rule_ = true;
}

void FiniteWatch::after_rule(const Node& node, const Backward& backward) {
  in_rule_ = false;
  for (std::size_t i = 0; found_.empty() && i < node.inputs.size(); ++i) {
    const Tensor& gradient = backward.so_far(static_cast<int>(i));
    const auto bad = first_bad(gradient);
    if (!bad) continue;
    found_ = fmt::format("{}{}, backward: the gradient of {} is {} at {}", form(node),
                         scopes_[node.outputs[0].id], text("input", i, node.inputs[i]),
                         number(bad->value), place(gradient.shape(), bad->index));
    const Tensor& cotangent = backward.cotangent();
    if (cotangent.defined()) {
      found_ += "; cotangent " + kind(cotangent.dtype(), cotangent.shape()) +
                beside(cotangent, gradient.shape(), bad->index);
    }
    for (const Tensor& saved : node.saved) {
      if (!saved.defined()) continue;
      found_ += "; saved " + kind(saved.dtype(), saved.shape()) +
                beside(saved, gradient.shape(), bad->index);
    }
  }
}

}  // namespace posetape

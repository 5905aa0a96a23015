// Where the first number that is not finite came from.
//
//   FiniteWatch watch(parameters);
//   ... a forward and a backward pass ...
//   if (!watch.found().empty()) fail("{}", watch.found());
//
// Every result of every op and every gradient that a rule gives is looked at, on the host. The line
// names the op, the pass, the scope and the names of its tensors (engine/taps.hpp), their shapes,
// and the element:
//
//   log in part, forward: output f32 [2, 3] is -inf at [1, 0]; input 0: y f32 [2, 3], 0 there
//   linear in train, forward: input 1: blocks.0.qkv.weight f32 [24, 8] is nan at [0, 3]
//   sqrt, backward: the gradient of input 0: x f32 [4] is inf at [2]; cotangent f32 [4], 1 there;
//   saved f32 [4], 0 there
#pragma once

#include <string>
#include <unordered_map>

#include "engine/observer.hpp"
#include "engine/parameters.hpp"

namespace posetape {

class FiniteWatch : public Observer {
 public:
  // Knows the parameters by their names.
  explicit FiniteWatch(const ParameterList& parameters);

  // Of the first one of this thread since it lives, one line; empty where there was none.
  const std::string& found() const { return found_; }

  bool named(const Named& value) override;
  void after_forward(const Node& node, Tensors inputs, Tensors outputs) override;
  void before_rule(const Node& node, Backward& backward) override;
  void after_rule(const Node& node, const Backward& backward) override;

 private:
  std::string text(const char* role, std::size_t number, const Value& value) const;

  std::unordered_map<std::uint64_t, std::string> names_;   // of tensors, by id
  std::unordered_map<std::uint64_t, std::string> scopes_;  // of ops, by their outputs' ids
  bool in_rule_ = false;  // the ops are a rule's own: what is wrong shows in its gradients
  std::string found_;
};

}  // namespace posetape

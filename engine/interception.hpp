// The gradients that backward rules give, before they go where they belong: to plant errors in
// tests, and to look inside.
#pragma once

#include <functional>

#include "engine/observer.hpp"
#include "engine/tape.hpp"

namespace posetape {

// Sees each gradient that a backward rule gives, and may change it, and whether it is added where
// it goes. An input that occurs twice in a node has two.
using Intercept =
    std::function<void(const Node& node, int input, const Tensor& gradient, Into& into)>;

// While it lives, `intercept` is called for every rule of this thread; an empty one for none. Every
// gradient then lies in memory of its own first, so that sums may round otherwise.
class Interception : public Observer {
 public:
  explicit Interception(Intercept intercept) : intercept_(std::move(intercept)) {}

  void before_rule(const Node&, Backward& backward) override {
    if (intercept_) backward.hold();
  }
  void gradient(const Node& node, int input, const Tensor& part, Into& into) override {
    if (intercept_) intercept_(node, input, part, into);
  }

 private:
  Intercept intercept_;
};

}  // namespace posetape

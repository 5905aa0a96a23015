// Who sees what, and that looking changes nothing.
#include "engine/observer.hpp"

#include <doctest/doctest.h>

#include "engine/adam.hpp"
#include "engine/interception.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/recompute.hpp"
#include "engine/taps.hpp"

using namespace posetape;

namespace {

// Everything that it is told, as one line.
class Listener : public Observer {
 public:
  bool named(const Named& value) override {
    heard += fmt::format("{}{} ", scope(), value.name);
    return keeps;
  }
  void after_forward(const Node& node, Tensors inputs, Tensors outputs) override {
    CHECK(inputs.size() == node.inputs.size());
    CHECK(outputs.size() == node.outputs.size());
    heard += fmt::format("{} ", name(node.op));
  }
  void before_rule(const Node& node, Backward& backward) override {
    CHECK(backward.cotangent().defined());
    heard += fmt::format("<{} ", name(node.op));
  }
  void after_rule(const Node& node, const Backward& backward) override {
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      CHECK(backward.so_far(i).defined() == backward.wants(i));
    }
    heard += fmt::format("{}> ", name(node.op));
  }
  void result(const Tensor& watched, const Tensor& gradient) override {
    CHECK(watched.shape() == gradient.shape());
    heard += "result ";
  }
  void before_update() override { heard += "{ "; }
  void after_update(const char* optimiser, const Cost&) override {
    heard += fmt::format("{} }} ", optimiser);
  }
  std::string heard;
  bool keeps = false;
};

struct Layers {
  Layers(ParameterList& list, int) : w(list.add("w", {2}, {Init::uniform, 1})) {}
  Tensor operator()(const Tensor& x) const {
    const auto f = [this](const Tensor& in) { return tap("y", mul(w, in)); };
    return tap("loss", sum(recompute(1, f, recompute(1, f, x))));
  }
  Tensor w;
};

}  // namespace

TEST_CASE("an observer is told of ops, rules, results and updates in their order") {
  const Module<Layers> net(0, DType::f64, 1);
  Adam adam(net);
  const Tensor x = Tensor::full({2}, 3, DType::f64);
  const char* const forward = "mul y mul y sum loss ";
  for (const int level : {0, 1}) {
    Listener outer;
    {
      Listener inner;
      (void)gradients(
          net, [&] { return net(x); }, level);
      adam.step(0.1);
      // A segment runs again before its rule, and its values have their names already.
      CHECK(inner.heard == fmt::format("{}<sum sum> <mul mul> {}<mul mul> result {{ adam }} ",
                                       forward, level == 0 ? "" : "mul "));
      CHECK(outer.heard == inner.heard);
      CHECK(Observer::innermost() == &inner);
      CHECK(inner.outer() == &outer);
    }
    CHECK(Observer::innermost() == &outer);
  }
  CHECK(Observer::innermost() == nullptr);
}

TEST_CASE("a name that one keeps is not heard further out; scopes are of all") {
  Listener outer;
  const Scope first("a");
  Listener inner;
  const Scope second("b", 2);
  show("x", 1);
  inner.keeps = true;
  show("y", 1);
  CHECK(inner.heard == "a.b.2.x a.b.2.y ");
  CHECK(outer.heard == "a.b.2.x ");
}

TEST_CASE("a rule whose gradients are held gives them one by one, and the same sum") {
  const Module<Layers> net(0, DType::f64, 1);
  const Tensor x = Tensor::full({2}, 3, DType::f64);
  (void)gradients(net, [&] { return net(x); });
  const std::vector<double> expected = net.gradients().to_doubles();
  int parts = 0;
  const Interception none({});
  const Interception count([&](const Node&, int, const Tensor&, Into&) { ++parts; });
  (void)gradients(net, [&] { return net(x); });
  CHECK(parts == 4);  // of the sum, of both factors, and of one
  CHECK(net.gradients().to_doubles() == expected);
}

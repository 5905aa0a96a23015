// Who looks on while ops and backward rules run.
//
//   class Count : public Observer {
//     void after_forward(const Node&, Tensors, Tensors) override { ++ops; }
//     ...
//   };
//
// Observers of a thread lie on one stack: each sees what happens in its thread while it lives, the
// innermost first. Where none lives, looking costs one test of a pointer. What is computed is the
// same to the bit, unless an observer replaces or writes to what it is shown. Profile, Taps,
// Patches, Interception and FiniteWatch are observers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/op.hpp"
#include "engine/tensor.hpp"
#include "kernels/base/scalar.hpp"

namespace posetape {

class Observer {
 public:
  using Tensors = std::span<const Tensor>;

  // A tensor, or numbers that are only computed where somebody wants them, and its name: see tap()
  // and show() in engine/taps.hpp.
  struct Named {
    std::string_view name;
    Tensor tensor;  // undefined for numbers
    Shape shape;
    std::function<std::vector<double>()> numbers;
    // Whether who computes goes on with what replace() leaves in `tensor`, and the type and the
    // device that it has to have.
    bool replaceable = false;
    DType dtype = DType::f64;
    Device device = Device::cpu;
    // The elements, row-major.
    std::vector<double> values() const {
      return tensor.defined() ? tensor.to_doubles() : numbers();
    }
  };

  virtual ~Observer() { innermost_ = outer_; }
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  // The one that came last in this thread, or null.
  static Observer* innermost() { return innermost_; }
  Observer* outer() const { return outer_; }
  // Calls f(observer) for each, the innermost first.
  template <class F>
  static void each(const F& f) {
    for (Observer* o = innermost_; o != nullptr; o = o->outer_) f(*o);
  }
  // Whether what is one op for speed is to be the ops that it stands for, with their names between
  // them, as the innermost one says that says anything. Bits are the same.
  static bool parts_wanted() {
    for (const Observer* o = innermost_; o != nullptr; o = o->outer_) {
      if (const std::optional<bool> wanted = o->wants_parts()) return *wanted;
    }
    return false;
  }
  // replace() of each, then named() of each, until one keeps it.
  static void tell(Named& value) {
    each([&](Observer& o) { o.replace(value); });
    for (Observer* o = innermost_; o != nullptr && !o->named(value); o = o->outer_) {
    }
  }
  // The parts of names that are open (Scope in engine/taps.hpp): empty, or with a dot at its end.
  static std::string_view scope() {
    return innermost_ != nullptr ? std::string_view(innermost_->scope_) : std::string_view();
  }

  // What it says of parts_wanted(); nothing where it does not mind.
  virtual std::optional<bool> wants_parts() const { return true; }
  // A value is about to go by a name: may put another tensor of its shape in its place where it is
  // replaceable. Comes again where a segment runs again (engine/recompute.hpp).
  virtual void replace(Named& /*value*/) {}
  // A value goes by a name. True where those further out are not to hear of it.
  virtual bool named(const Named& /*value*/) { return false; }
  // An op has run, recorded by a tape or not; also one that a backward rule is made of. The node's
  // outputs have no slots yet, and it has saved nothing.
  virtual void after_forward(const Node& /*node*/, Tensors /*inputs*/, Tensors /*outputs*/) {}
  // A backward rule is about to run, with its cotangents complete, and has run.
  virtual void before_rule(const Node& /*node*/, Backward& /*backward*/) {}
  virtual void after_rule(const Node& /*node*/, const Backward& /*backward*/) {}
  // A part of an input's gradient, before it goes where it belongs, of a rule for which
  // before_rule() has said Backward::hold(). May change it, and whether it is added there.
  virtual void gradient(const Node& /*node*/, int /*input*/, const Tensor& /*part*/,
                        Into& /*into*/) {}
  // What a backward pass gives, at its end.
  virtual void result(const Tensor& /*watched*/, const Tensor& /*gradient*/) {}
  // An optimiser moves the parameters, and has moved them.
  virtual void before_update() {}
  virtual void after_update(const char* /*optimiser*/, const Cost& /*cost*/) {}

 protected:
  // On from here to the destructor. Names begin with the scopes that are open, or with `scope`.
  Observer() : Observer(scope()) {}
  explicit Observer(std::string_view scope) : outer_(innermost_), scope_(scope) {
    innermost_ = this;
  }

 private:
  friend class Scope;

  static inline constinit thread_local Observer* innermost_ = nullptr;

  Observer* outer_;
  std::string scope_;
};

}  // namespace posetape

// Looking inside a forward or backward pass by name.
//
//   Taps taps({"blocks.*.attention", "step.1.x_hat", "*.proj.grad.norm"});
//   refiner.refine(noisy, y, 2);
//   for (const Taps::Captured& c : taps.captured()) ... c.name, c.shape, c.values ...
//
// The models name their tensors once, with tap() and show() below, and know no more. While a Taps
// lives, what passes them in its thread is compared with its patterns and copied to the host where
// one matches. Where no Observer lives they are one test of a pointer: no copy, no allocation, no
// text. What is computed is the same to the bit either way, on both devices. (Changing it is what
// engine/patches.hpp is for.)
//
// A name is made of parts with dots between them: the scopes that are open, then what tap() says.
// `*` in a pattern stands for any text, dots included, and `?` for one character. A pattern may
// begin at any part of a name: "x_hat" matches "step.1.x_hat" and "step.2.x_hat". The end of a
// pattern says what is taken of the tensors that the rest matches:
//
//   NAME             the tensor
//   NAME.norm        its Euclidean norm, one number
//   NAME.grad        the gradient of the loss with respect to it, from Tape::backward
//   NAME.grad.norm   the norm of that
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/observer.hpp"

namespace posetape {

class Taps : public Observer {
 public:
  struct Options {
    // Attention probabilities of every row of the batch, instead of their mean: see
    // engine/attention.hpp.
    bool whole_attention = false;
  };

  // Nests: a name is heard by the innermost alone.
  explicit Taps(std::vector<std::string> patterns) : Taps(std::move(patterns), Options()) {}
  Taps(std::vector<std::string> patterns, Options options);

  struct Captured {
    std::string name;
    Shape shape;
    std::vector<double> values;  // row-major
  };
  // In the order in which the names first came. A name that comes again replaces what it was.
  const std::vector<Captured>& captured() const { return captured_; }
  // Throws where nothing of this name was captured.
  const Captured& at(std::string_view name) const;

  // Every name that came by, captured or not.
  struct Seen {
    std::string name;
    Shape shape;
    DType dtype = DType::f32;
    bool gradient = false;  // a backward pass gave one
  };
  const std::vector<Seen>& seen() const { return seen_; }

  // Forgets what was captured, but not that it was.
  void clear();

  // Throws where a pattern has captured nothing: with the nearest names, or with what is missing
  // for a gradient.
  void check() const;

  const Options& options() const { return options_; }

  // The innermost of this thread, or null.
  static Taps* current();

  bool named(const Named& value) override;
  void before_rule(const Node& node, Backward& backward) override;
  void result(const Tensor& watched, const Tensor& gradient) override;

 private:
  struct Pattern {
    std::string text;  // as it was given
    std::string glob;  // without the endings
    bool gradient = false;
    bool norm = false;
    bool captured = false;
  };
  static Pattern parse(std::string text);
  void see_gradient(std::uint64_t id, const Tensor& gradient);
  void capture(const std::string& name, bool gradient, const Shape& shape,
               const std::function<std::vector<double>()>& values);
  void put(std::string name, const Shape& shape, std::vector<double> values);

  std::vector<Pattern> patterns_;
  Options options_;
  std::vector<Seen> seen_;
  std::vector<Captured> captured_;
  std::unordered_map<std::string, std::size_t> seen_at_;
  std::unordered_map<std::string, std::size_t> captured_at_;
  std::unordered_multimap<std::uint64_t, std::size_t> named_;  // tensors, by id
};

// Gives a tensor its name, where something looks; an undefined tensor has none. Returns it, or what
// an observer has put in its place (engine/patches.hpp): go on with the result.
[[nodiscard]] inline Tensor tap(std::string_view name, Tensor tensor) {
  if (Observer::innermost() == nullptr || !tensor.defined()) return tensor;
  Observer::Named value{name,           tensor,         tensor.shape(), {}, /*replaceable=*/true,
                        tensor.dtype(), tensor.device()};
  Observer::tell(value);
  return value.tensor;
}

// The same of a value that is part of others: a head's channels, a sum that the next op makes.
// `values` returns its elements, row-major. The result is undefined where nobody replaces it, and
// else of the type and on the device of `like`.
template <class F>
[[nodiscard]] Tensor tap(std::string_view name, const Shape& shape, const Tensor& like,
                         F&& values) {
  if (Observer::innermost() == nullptr) return {};
  Observer::Named value{
      name, {}, shape, std::forward<F>(values), /*replaceable=*/true, like.dtype(), like.device()};
  Observer::tell(value);
  return value.tensor;
}

// Gives its name to what can be looked at and not replaced: a tensor that others hold already, a
// number, or something that is only computed where it is looked at.
inline void show(std::string_view name, const Tensor& tensor) {
  if (Observer::innermost() == nullptr || !tensor.defined()) return;
  Observer::Named value{name, tensor, tensor.shape(), {}};
  Observer::tell(value);
}
template <class F>
void show(std::string_view name, const Shape& shape, F&& values) {
  if (Observer::innermost() == nullptr) return;
  Observer::Named value{name, {}, shape, std::forward<F>(values)};
  Observer::tell(value);
}
inline void show(std::string_view name, double number) {
  show(name, Shape(), [=] { return std::vector{number}; });
}

// A part of the names of what is tapped while it lives: "step" and 2 make "step.2.". It must end
// before the observer under which it began does.
class Scope {
 public:
  explicit Scope(std::string_view name) : observer_(Observer::innermost()) {
    if (observer_ != nullptr) open(name);
  }
  Scope(std::string_view name, Index number) : observer_(Observer::innermost()) {
    if (observer_ != nullptr) open(fmt::format("{}.{}", name, number));
  }
  ~Scope() {
    if (observer_ != nullptr) observer_->scope_.resize(outer_);
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  void open(std::string_view name);

  Observer* observer_;
  std::size_t outer_ = 0;
};

// Whether a pattern without endings matches a name from the beginning of one of its parts on.
bool tap_matches(std::string_view glob, std::string_view name);

// Whether a pattern asks for gradients.
bool asks_for_gradient(std::string_view pattern);

// Up to `count` of the names that are most like the pattern, nearest first.
std::vector<std::string> nearest_names(std::string_view glob, std::span<const std::string> names,
                                       std::size_t count);
// Four of them with commas between, of names that differ in numbers alone the first.
std::string nearest_text(std::string_view glob, std::span<const std::string> names);

}  // namespace posetape

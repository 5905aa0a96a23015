// Changing a forward pass from inside: values that have names (engine/taps.hpp) are replaced when
// they have been computed, and everything behind them goes on with what stands in their place.
//
//   Patches patches;
//   patches.add("blocks.1.stc2.time.attention.head3", Patches::constant(0));  // ablation
//   patches.add("step.2.x_k", [&](const auto&, const auto&) { return other; });  // patching
//   const Tensor x = refiner.refine(noisy, y, 2);
//   patches.check();
//
// Patterns are those of taps, without endings. What tap() names can be replaced, a head of
// attention too; what show() names can only be looked at. Taps see values as they are after all
// patches. In a pass that a tape records, what is put in is a constant: no gradient goes through it
// to what it replaces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/observer.hpp"

namespace posetape {

class Patches : public Observer {
 public:
  // What stands for `value`, whose name with its scopes is `name`: a tensor of its shape, or of one
  // that broadcasts to it, of any type and on any device.
  using Source = std::function<Tensor(const std::string& name, const Named& value)>;
  static Source constant(double number);

  // All live Patches of a thread act, the innermost first; of one, in the order in which they were
  // added.
  void add(std::string pattern, Source source);

  // Throws where a pattern has replaced nothing: with the nearest names that can be replaced.
  void check() const;

  // Throws, with the name and both shapes, where a source gives what does not broadcast.
  void replace(Named& value) override;

 private:
  struct Patch {
    std::string pattern;
    Source source;
    bool used = false;
    std::string shown;  // the first name that it matched and that can't be replaced
  };
  std::vector<Patch> patches_;
  std::vector<std::string> names_;  // that can be replaced
};

}  // namespace posetape

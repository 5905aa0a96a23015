// Mutation testing of the backward rules: plants an error in one gradient of one op and asks
// whether the suite notices. An oracle that misses it is no proof that the rule is right.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/choices.hpp"
#include "engine/tape.hpp"
#include "tests/cases/suite.hpp"

namespace posetape {

enum class Mutation {
  flip_sign,
  double_factor,
  zero,
  drop_term,        // the mean over a row, which the rules of all normalisations contain
  wrong_axis,       // summed over the last axis instead of its own
  ignore_add,       // overwrites what other uses of the input have given
  shift_row,        // each row gets the one before it
  reverse_columns,  // the last axis the wrong way round
  lose_tail,        // the last element of each row, as a vector loop without its tail
  one_element,      // a single element's sign
  slightly_off,     // 1 + 1e-7 times
  rounded_to_f32,
};
constexpr auto choices(Mutation) {
  using enum Mutation;
  return make_choices<Mutation>("mutation", {{flip_sign, "flip sign"},
                                             {double_factor, "double factor"},
                                             {zero, "zero"},
                                             {drop_term, "drop term"},
                                             {wrong_axis, "wrong axis"},
                                             {ignore_add, "ignore Add"},
                                             {shift_row, "shift rows"},
                                             {reverse_columns, "reverse columns"},
                                             {lose_tail, "lose the tail"},
                                             {one_element, "one element"},
                                             {slightly_off, "slightly off"},
                                             {rounded_to_f32, "rounded to f32"}});
}

// Applies it to a gradient in place. Returns false where that changes nothing.
bool mutate(Mutation mutation, const Tensor& gradient, Into& into);

// One error in the gradient of `input` of every call of `op`.
struct Mutant {
  std::string op;
  int input = 0;
  Mutation mutation{};
  bool exists = false;  // it changes a gradient in at least one case
  // The first case and check that notices it, "case: check": with differences alone, and by the
  // adjoint test of one use of the inputs and of two.
  std::string by_differences;
  std::string by_exact;
  std::string by_twice;
  // Why no test can notice it, where that is proven.
  std::string equivalent;
  bool killed() const { return !by_differences.empty() || !by_exact.empty() || !by_twice.empty(); }
};

// Calls f with all that it holds.
template <class F>
void each_field(Mutant& m, F&& f) {
  f(m.op), f(m.input), f(m.mutation), f(m.exists);
  f(m.by_differences), f(m.by_exact), f(m.by_twice), f(m.equivalent);
}

// All mutants of the selected ops that exist, each on the selected small cases until it is killed
// both ways; a case that fails anyway notices nothing. The order is that of ops, inputs and
// mutations. Of several ranks (engine/ranks/ranks.hpp) each does some ops, and is told of these.
std::vector<Mutant> run_mutants(const SuiteOptions& options,
                                const std::function<void(const Mutant&)>& on_mutant = {});

}  // namespace posetape

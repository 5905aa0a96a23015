// Gradients against independent oracles: for the ops here and for any function of yours.
//
//   GradcheckReport report = gradcheck([](std::span<const Tensor> in) {
//     return std::vector{layer_norm(in[0], in[1], in[2]).y};
//   }, std::vector{x, gamma, beta});
//   if (!report.passed()) std::puts(report.failures().c_str());
//
// Everything happens in f64. Every output is multiplied by a random cotangent first: the plain sum
// of a softmax is constant, and a gradient of zero would pass. engine/GRADCHECK.md is the guide.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/choices.hpp"
#include "engine/interception.hpp"
#include "engine/jvp.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// What a gradient is held against: an independent answer, or a claim that holds for every gradient.
enum class Oracle : std::uint8_t {
  differences,   // Ridders' extrapolation of central differences (engine/ridders.hpp)
  adjoint,       // <v, J u> = <J^T v, u>, J u by dual numbers through the ops' own code
  complex_step,  // the same, J u by the complex step
  composite,     // the same mathematics from other ops: values and gradients
  // Claims about where a gradient goes (engine/structure.hpp).
  alone,        // where no other input needs a gradient: the same bits
  added,        // onto a gradient that is there already: their sum
  twice,        // f called twice with the same inputs: twice the gradient
  destination,  // written into memory that held NaN: the same bits
  pure,         // a second backward gives the same bits, and what is read only stays as it is
  // The oracles at inputs that the caller did not think of (engine/trials.hpp).
  same,   // one tensor given as two inputs: the sum of both gradients
  ties,   // equal elements that move together: what both differences and the adjoint say
  sizes,  // other extents: the adjoint test, and the composite where there is one
  // Second derivatives (engine/second_order.hpp).
  second_differences,  // of the gradient, by Ridders' extrapolation
  second_symmetry,     // w' H u = u' H w
};

enum class Verdict : std::uint8_t {
  agree,
  disagree,
  unresolved,  // the oracle cannot tell to the tolerance: its own error is too large
  vacuous,     // no gradient to speak of, so that a rule that gives zeros would pass
  skipped,     // the check could not run; the note says why
};

constexpr auto choices(Oracle) {
  using enum Oracle;
  return make_choices<Oracle>("oracle", {{differences, "differences"},
                                         {adjoint, "adjoint"},
                                         {complex_step, "complex-step"},
                                         {composite, "composite"},
                                         {alone, "structure/alone"},
                                         {added, "structure/added"},
                                         {twice, "structure/twice"},
                                         {destination, "structure/destination"},
                                         {pure, "structure/pure"},
                                         {same, "structure/same"},
                                         {ties, "structure/ties"},
                                         {sizes, "structure/sizes"},
                                         {second_differences, "second/differences"},
                                         {second_symmetry, "second/symmetry"}});
}
constexpr auto choices(Verdict) {
  using enum Verdict;
  return make_choices<Verdict>("verdict", {{agree, "agree"},
                                           {disagree, "disagree"},
                                           {unresolved, "unresolved"},
                                           {vacuous, "vacuous"},
                                           {skipped, "skipped"}});
}

struct GradcheckOptions {
  std::uint64_t seed = 1;
  // Of |analytic - oracle|, relative to the largest entry of the input's gradient.
  double tolerance = 1e-9;         // of differences
  double exact_tolerance = 1e-12;  // of the other oracles, which make rounding errors alone
  // Inputs with at most this many elements are checked one by one, all of them also along this many
  // random directions.
  Index full_up_to = 64;
  int directions = 8;
  // Step that Ridders' scheme starts from, relative to max(|x|, 1).
  double step = 0.05;
  // Inputs that take part as constants, by index.
  std::vector<int> constant;
  // Inputs whose gradient is zero by the mathematics: zero is then what is checked.
  std::vector<int> zero;
  // The function has a kink at or near these inputs: differences may be unresolved, and at the kink
  // the gradient may be any slope between those of the two sides.
  bool kink = false;
  // Oracles, claims and trials that do not apply.
  std::vector<Oracle> without;
  // The same function made of other ops.
  TensorFunction composite;
  // Where the values and gradients under test are computed; numbers that carry derivatives and the
  // composite stay on the CPU.
  Device device = Device::cpu;
  // Plants errors in the gradients under test, to see whether they are noticed. Other shapes than
  // those of the inputs are not tried then.
  Intercept intercept;
  // Why a tolerance is looser than the default, a gradient zero, or an oracle left out.
  std::string reason;
};

// What one oracle says of one input.
struct Finding {
  int input = 0;
  Oracle oracle{};
  Verdict verdict{};
  double error = 0;   // worst, relative to `scale`
  double trust = 0;   // the oracle's own error there, relative to `scale`
  double scale = 0;   // largest entry of the gradient, by the oracle
  std::string where;  // "element 17", "direction 3", "value 4 of output 0"
  double analytic = 0;
  double numeric = 0;
  int confirmed = 0;  // places and directions in which an oracle agrees
  double seconds = 0;
  std::string note;  // what does not hold, why it could not tell or run, what to do
  bool passed = false;
};

struct GradcheckReport {
  std::vector<Finding> findings;
  // False also where nothing was checked, and where no oracle could tell anything of some input.
  bool passed() const;
  // One line for each reason why it didn't pass; empty where it did.
  std::string failures() const;
};

// Runs every oracle, claim and trial that applies on every input that is not constant. `only`
// limits it to one. Inputs are f64 (or i32, which are constants; or undefined). Throws what f
// throws on f64 tensors, and where f can't be checked: it returns nothing, or something else the
// second time, or changes its inputs, or an input is neither f64 nor i32. Where f throws an Error
// on other shapes, these are not tried: an op of your own must refuse what it can't compute.
GradcheckReport gradcheck(const TensorFunction& f, std::span<const Tensor> inputs,
                          const GradcheckOptions& options = {},
                          std::optional<Oracle> only = std::nullopt);

// One gradient-check case of an op; tests/cases/<op>.cpp returns a list of them.
struct Case {
  std::string name;
  std::vector<Tensor> inputs;
  TensorFunction f;
  GradcheckOptions options = {};
  // Some outputs depend on some inputs in form alone (x - x): a NaN reaches them all the same. So
  // it is with inputs whose gradient is zero.
  bool cancels = false;
};

// f(x) + f(x): every input is used twice, so its gradient has to be added up.
TensorFunction used_twice(const TensorFunction& f);

// Shape, type and every bit are equal.
bool same_bytes(const Tensor& a, const Tensor& b);

// Standard normal numbers, shifted and scaled; and uniform in (low, high). For cases and tests.
Tensor random_normal(const Shape& shape, std::uint64_t seed, double scale = 1, double shift = 0);
Tensor random_uniform(const Shape& shape, std::uint64_t seed, double low, double high);

}  // namespace posetape

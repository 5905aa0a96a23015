#include "tests/cases/verdicts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/oracles.hpp"
#include "engine/structure.hpp"
#include "engine/tape.hpp"
#include "kernels/base/parallel.hpp"
#include "tests/cases/call_errors.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/restored.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Composites round elsewhere in every call of a program, and the next ones make more of it.
constexpr double kComposite = 1e-9;
// A difference of that size is rounding beside values and cotangents of the order of 1.
constexpr double kTiny = 1e-13;
// How far beside a kink other ops are asked, and how much shorter steps are near one.
constexpr double kBeside = 1e-4;
// First step of the differences: short, so that few kinks are within it.
constexpr double kStep = 2e-3;
// From so many elements on, kernels share work among threads.
constexpr Index kShared = 2048;

// ---- The oracles -----------------------------------------------------------------------------

GradcheckOptions options_of(const Program& p, const Setting& s) {
  GradcheckOptions options;
  options.seed = s.seed;
  options.full_up_to = 0;
  options.directions = 1;
  options.step = kStep;
  options.constant = p.constants();
  options.kink = p.bends;
  options.device = s.device;
  return options;
}

void note(Opinion& opinion, const Finding& f) {
  switch (f.verdict) {
    case Verdict::agree:
      opinion.agreed += 1;
      return;
    case Verdict::unresolved:
      opinion.unresolved += 1;
      return;
    case Verdict::vacuous:
      opinion.vacuous += 1;
      return;
    default:
      break;
  }
  if (!opinion.failure.empty()) return;
  opinion.failure = fmt::format("input {}", f.input);
  if (!f.where.empty()) {
    opinion.failure +=
        fmt::format(", {}: error {:.1e} (oracle's own {:.1e}), analytic {:.12g}, oracle {:.12g}",
                    f.where, f.error, f.trust, f.analytic, f.numeric);
  }
  if (!f.note.empty()) opinion.failure += ": " + f.note;
}

std::string gradcheck_statements(const GradcheckOptions& o, Oracle oracle) {
  std::string enumerator = name(oracle);  // "complex-step", "structure/alone"
  enumerator.erase(0, enumerator.find('/') + 1);
  std::ranges::replace(enumerator, '-', '_');
  return fmt::format(
      "  GradcheckOptions options;\n"
      "  options.seed = {};\n"
      "  options.full_up_to = {};\n"
      "  options.directions = {};\n"
      "  options.step = {};\n"
      "  options.constant = {{{}}};\n"
      "  options.kink = {};\n"
      "  const GradcheckReport report = gradcheck(f, leaves, options, Oracle::{});\n"
      "  std::fputs(report.failures().c_str(), stdout);\n"
      "  return report.passed() ? 0 : 1;\n",
      o.seed, o.full_up_to, o.directions, o.step, fmt::join(o.constant, ", "), o.kink, enumerator);
}

// Numbers that carry derivatives take the same branches: where a condition is 0 but for rounding,
// they may not.
bool same_branches(const Program& p, const Tensors& outputs) {
  const NoRecording off;
  const Tensors others = p.run(moved(p.leaves(), dtype_of<Dual>, Device::cpu));
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const std::vector<double> a = outputs[o].to_doubles();
    const std::vector<double> b = others[o].to_doubles();
    const auto near = [](double x, double y) { return std::fabs(x - y) <= kComposite; };
    if (!std::ranges::equal(a, b, near)) return false;
  }
  return true;
}

// At a kink other ops may take another side; beside it they agree.
bool agrees_beside(const Program& p, const GradcheckOptions& options, std::size_t i) {
  Tensors beside = p.leaves();
  for (std::size_t k = 0; k < beside.size(); ++k) {
    if (!floating(beside[k])) continue;
    beside[k] = beside[k].clone();
    Random random(options.seed, Stream::test, 79 + k);
    for (double& v : beside[k].values<double>()) v += kBeside * random.normal();
  }
  const TensorFunction f = p.function();
  Oracles oracles(f, beside, options);
  return oracles.check(Oracle::composite, i).verdict != Verdict::disagree;
}

// A kink may be within the steps of the differences, and not within much shorter ones.
bool agrees_closer(const Program& p, GradcheckOptions options, std::size_t i) {
  options.step *= kBeside;
  const TensorFunction f = p.function();
  const Tensors leaves = p.leaves();
  Oracles oracles(f, leaves, options);
  return oracles.check(Oracle::differences, i).verdict != Verdict::disagree;
}

// A disagreement that says nothing of the rule: a difference like rounding; a slope without bound,
// as that of a square root at 0; or a kink or a jump at the point.
bool excused(const Program& p, const GradcheckOptions& options, const Oracles& oracles,
             const Finding& f) {
  if (std::fabs(f.analytic - f.numeric) <= kTiny || !finite(oracles.gradients())) return true;
  if (!p.bends) return false;
  if (std::isfinite(f.analytic) && std::isnan(f.numeric)) return true;
  const auto input = static_cast<std::size_t>(f.input);
  if (f.oracle == Oracle::composite) return agrees_beside(p, options, input);
  if (f.oracle == Oracle::differences) return agrees_closer(p, options, input);
  return !same_branches(p, oracles.outputs());
}

// What an oracle says of each leaf.
Opinion ask(const Program& p, const Setting& s, Oracle oracle) {
  GradcheckOptions options = options_of(p, s);
  const TensorFunction f = p.function();
  const Tensors leaves = p.leaves();
  if (oracle == Oracle::composite) {
    options.composite = p.function(true);
    options.exact_tolerance = kComposite;
  }
  Oracles oracles(f, leaves, options);
  Opinion opinion;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!oracles.checked(i)) continue;
    Finding found = oracles.check(oracle, i);
    if (found.verdict == Verdict::disagree && excused(p, options, oracles, found)) {
      found.verdict = Verdict::unresolved;
    }
    note(opinion, found);
  }
  if (!opinion.failure.empty()) opinion.statements = gradcheck_statements(options, oracle);
  return opinion;
}

Opinion structure(const Program& p, const Setting& s) {
  const GradcheckOptions options = options_of(p, s);
  const TensorFunction f = p.function();
  Opinion opinion;
  for (const Finding& found : check_structure(f, p.leaves(), options)) {
    const bool first = opinion.failure.empty();
    note(opinion, found);
    if (!first || opinion.failure.empty()) continue;
    opinion.failure = std::string(name(found.oracle)) + ", " + opinion.failure;
    opinion.statements = gradcheck_statements(options, found.oracle);
  }
  return opinion;
}

// ---- Values and gradients of each call --------------------------------------------------------

// Where a value is among the leaves, and among the outputs: of a shrunk program, where it is.
int leaf_of(const Program& p, int value) {
  int number = 0;
  for (const Step& s : p.steps) {
    if (s.first == value) return number;
    if (!s.is_call()) ++number;
  }
  return number;
}
std::ptrdiff_t output_of(const Program& p, int value) {
  return std::ranges::find(p.outputs, value) - p.outputs.begin();
}

std::string element_statements(const Program& p, const Step& call, const Setting& s,
                               const CallError& e) {
  std::string text = fmt::format(
      "  std::vector<Tensor> in;\n"
      "  for (const Tensor& x : leaves) {{\n"
      "    in.push_back(x.dtype() == DType::i32 ? x : cast(x, DType::{}));\n"
      "  }}\n",
      name(s.dtype));
  const auto output = output_of(p, call.first + e.result);
  if (e.operand < 0) {
    text += fmt::format("  const double got = f(in)[{}].to_doubles()[{}];\n", output, e.element);
  } else {
    const int value = call.call.operands[static_cast<std::size_t>(e.operand)];
    text += fmt::format(
        "  Tape tape;\n"
        "  tape.watch(in[{0}]);\n"
        "  const Recording on(tape);\n"
        "  const Tensor y = f(in)[{1}];\n"
        "  Tape::Options options;\n"
        "  options.cotangent = cast(cast(random_normal(y.shape(), {2}), DType::{3}), y.dtype());\n"
        "  const double got = tape.backward(y, options).of(in[{0}]).to_doubles()[{4}];\n",
        leaf_of(p, value), output, 4000 + e.result, name(s.dtype), e.element);
  }
  return text + fmt::format(
                    "  const double expected = {};\n"
                    "  std::printf(\"%.17g, %.17g expected\\n\", got, expected);\n"
                    "  return std::fabs(got - expected) <= {} ? 0 : 1;\n",
                    e.expected, std::fabs(e.got - e.expected) / 2);
}

void note(Opinion& opinion, const Program& p, const Step& call, const Setting& s,
          const CallError& e) {
  if (e.passed || e.below_operands) {
    (e.passed ? opinion.agreed : opinion.unresolved) += 1;
    return;
  }
  if (!opinion.failure.empty()) return;
  opinion.failure =
      fmt::format("{} of {}, element {}: {:.1f} ULP, {:.1f} expected: {:.12g}, not {:.12g}",
                  e.operand < 0 ? fmt::format("value {}", e.result)
                                : fmt::format("gradient by operand {}", e.operand),
                  name(call.op), e.element, e.ulp, e.known, e.expected, e.got);
  opinion.statements = element_statements(p, call, s, e);
}

template <auto errors>
Opinion of_calls(const Program& p, const Setting& s) {
  Opinion opinion;
  for (const Step& call : p.steps) {
    if (!call.is_call()) continue;
    for (const CallError& e : errors(p, call, s.dtype, s.device)) note(opinion, p, call, s, e);
  }
  return opinion;
}

Opinion gradients_of_calls(const Program& p, const Setting& s) {
  return s.dtype == DType::f64 ? Opinion() : of_calls<gradient_errors>(p, s);
}

// ---- The same bits -----------------------------------------------------------------------------

// The outputs, and the gradients of <random numbers, outputs>.
struct Pass {
  Tensors outputs;
  Tensors gradients;
};

struct Way {
  int level = 0;  // of recomputation
  bool destinations = false;
  bool release = false;
};

Pass pass(const Program& p, const TensorFunction& f, const Tensors& leaves, const Way& way) {
  Pass result;
  Tape tape(way.level);
  const std::vector<int> constants = p.constants();
  std::vector<Tensor> watched;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!floating(leaves[i]) || contains(constants, i)) continue;
    tape.watch(leaves[i]);
    watched.push_back(leaves[i]);
  }
  Tensor loss;
  {
    const Recording on(tape);
    result.outputs = f(leaves);
    for (std::size_t o = 0; o < result.outputs.size(); ++o) {
      const Tensor& y = result.outputs[o];
      const Tensor numbers = converted(random_normal(y.shape(), 91 + o), y.dtype()).to(y.device());
      const Tensor term = sum(mul(y, numbers));
      loss = loss.defined() ? add(loss, term) : term;
    }
  }
  Tape::Options options;
  options.release = way.release;
  std::vector<std::pair<Tensor, Tensor>> places;
  for (const Tensor& x : watched) {
    if (!way.destinations) break;
    places.emplace_back(x, Tensor::full(x.shape(), kNaN, x.dtype(), x.device()));
  }
  options.destinations = places;
  const Gradients g = tape.backward(loss, options);
  for (std::size_t i = 0; i < watched.size(); ++i) {
    result.gradients.push_back(way.destinations ? places[i].second : g.of(watched[i]));
  }
  return result;
}

// The first result with other bits; empty where there is none.
std::string difference(const Pass& a, const Pass& b) {
  const auto first = [](const char* what, const Tensors& x, const Tensors& y) -> std::string {
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!same_bytes(x[i].to(Device::cpu), y[i].to(Device::cpu))) {
        return fmt::format("{} {} has other bits", what, i);
      }
    }
    return {};
  };
  const std::string of_outputs = first("output", a.outputs, b.outputs);
  return of_outputs.empty() ? first("gradient", a.gradients, b.gradients) : of_outputs;
}

const char* kPass = R"(  const auto pass = [&](int level, bool destinations, auto g) {
    std::vector<Tensor> in;
    for (const Tensor& x : leaves) in.push_back(x.dtype() == DType::i32 ? x : cast(x, DType::TYPE));
    Tape tape(level);
    std::vector<Tensor> watched;
    for (const int i : std::vector<int>{WATCHED}) watched.push_back(in[i]);
    for (const Tensor& x : watched) tape.watch(x);
    std::vector<Tensor> all;
    Tensor loss;
    {
      const Recording on(tape);
      all = g(in);
      for (std::size_t o = 0, n = all.size(); o < n; ++o) {
        const Tensor numbers = cast(random_normal(all[o].shape(), 91 + o), all[o].dtype());
        const Tensor term = sum(mul(all[o], numbers));
        loss = loss.defined() ? add(loss, term) : term;
      }
    }
    std::vector<std::pair<Tensor, Tensor>> places;
    for (const Tensor& x : watched) {
      if (destinations) places.emplace_back(x, Tensor::full(x.shape(), NAN, x.dtype()));
    }
    Tape::Options options;
    options.destinations = places;
    options.release = destinations;
    const Gradients gradients = tape.backward(loss, options);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      all.push_back(destinations ? places[i].second : gradients.of(watched[i]));
    }
    return all;
  };
  const auto first = pass(0, false, f);
CHANGE  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!same_bytes(first[i], second[i])) return std::printf("result %zu differs\n", i), 1;
  }
  return 0;
)";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const auto place = text.find(what);
  return text.replace(place, what.size(), by);
}

std::string pass_statements(const Program& p, const Setting& s, const std::string& change) {
  std::vector<int> watched;
  const Tensors leaves = p.leaves();
  const std::vector<int> constants = p.constants();
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (floating(leaves[i]) && !contains(constants, i)) watched.push_back(static_cast<int>(i));
  }
  std::string text = replaced(kPass, "TYPE", name(s.dtype));
  text = replaced(text, "WATCHED", fmt::format("{}", fmt::join(watched, ", ")));
  return replaced(text, "CHANGE", change);
}

// Threads, recomputation, memory that is new, poisoned or the caller's: the same bits.
Opinion same_bits(const Program& p, const Setting& s) {
  Opinion opinion;
  const Restored restored;
  const Tensors leaves = moved(p.leaves(), s.dtype, s.device);
  const TensorFunction f = p.function();
  set_threads(1);
  const Pass expected = pass(p, f, leaves, {});
  const auto compare = [&](const std::string& what, const TensorFunction& g, const Way& way,
                           const std::string& change) {
    const std::string differs = difference(expected, pass(p, g, leaves, way));
    if (differs.empty()) {
      opinion.agreed += 1;
    } else if (opinion.failure.empty()) {
      opinion.failure = what + ": " + differs;
      opinion.statements = pass_statements(p, s, change);
    }
  };
  Random random(s.seed, Stream::test, 78);
  const std::vector<int> lengths{1 + static_cast<int>(random.below(3)),
                                 1 + static_cast<int>(random.below(3))};
  const int level = 1 + static_cast<int>(random.below(2));
  compare(
      "computed again for the backward pass", p.recomputed(lengths), {.level = level},
      fmt::format("  const auto second = pass({}, false, [&](const std::vector<Tensor>& in) {{\n"
                  "    return recompute(1, [&](const auto&...) {{ return f(in); }}, in[0]);\n"
                  "  }});\n",
                  level));
  compare("written into the caller's memory", f, {.destinations = true, .release = true},
          "  const auto second = pass(0, true, f);\n");
  if (s.device == Device::cpu) {
    Arena::cpu().set_poison(true);
    Arena::cpu().set_reuse(false);
    compare("in new memory that holds NaN", f, {},
            "  Arena::cpu().set_poison(true);\n  Arena::cpu().set_reuse(false);\n"
            "  const auto second = pass(0, false, f);\n");
    const bool large = std::ranges::any_of(
        p.values, [](const Tensor& t) { return t.defined() && t.size() >= kShared; });
    for (const int count : {2, 3}) {
      if (!large) break;
      set_threads(count);
      compare(fmt::format("with {} threads", count), f, {},
              fmt::format("  set_threads({});\n  const auto second = pass(0, false, f);\n", count));
    }
  } else {
    compare("again", f, {}, "  const auto second = pass(0, false, f);\n");
  }
  return opinion;
}

template <Oracle oracle>
Opinion by(const Program& p, const Setting& s) {
  return ask(p, s, oracle);
}

}  // namespace

std::span<const ProgramCheck> program_checks() {
  static constexpr ProgramCheck kChecks[] = {
      {"value", false, false, 1, of_calls<value_errors>},
      {"adjoint", true, false, 1, by<Oracle::adjoint>},
      {"same bits", false, false, 1, same_bits},
      {"gradient", false, false, 1, gradients_of_calls},
      {"complex-step", true, false, 2, by<Oracle::complex_step>},
      {"composite", true, false, 2, by<Oracle::composite>},
      {"structure", true, true, 2, structure},
      {"differences", true, false, 4, by<Oracle::differences>},
  };
  return kChecks;
}

}  // namespace posetape

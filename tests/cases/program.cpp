#include "tests/cases/program.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/ops.hpp"
#include "engine/oracles.hpp"
#include "engine/recompute.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

// Results with larger numbers say more of rounding than of gradients.
constexpr double kLargest = 300;
constexpr int kMostCalls = 8;
// Leaves of at most so many elements are written down, where they are no random numbers.
constexpr Index kWritten = 4096;

bool tame(const Tensor& t) {
  return !floating(t) ||
         std::ranges::all_of(t.values<double>(), [](double v) { return std::fabs(v) <= kLargest; });
}

std::size_t at(int number) {
  return static_cast<std::size_t>(number);
}

void run_step(const Program& p, const Step& step, Tensors& values, bool composites) {
  const Tensors results = p.results(step, Program::operands(step, values), composites);
  std::ranges::copy(results, values.begin() + step.first);
}

std::set<int> used(const Program& p) {
  std::set<int> numbers;
  for (const Step& s : p.steps) numbers.insert(s.call.operands.begin(), s.call.operands.end());
  return numbers;
}

// Drops the steps that no output needs.
void prune(Program& p) {
  std::set<int> wanted(p.outputs.begin(), p.outputs.end());
  std::vector<Step> kept;
  for (auto s = p.steps.rbegin(); s != p.steps.rend(); ++s) {
    bool needed = false;
    for (int k = 0; k < s->count; ++k) needed = needed || wanted.contains(s->first + k);
    if (!needed) continue;
    wanted.insert(s->call.operands.begin(), s->call.operands.end());
    kept.push_back(*s);
  }
  p.steps.assign(kept.rbegin(), kept.rend());
  p.bends = std::ranges::any_of(p.steps, [](const Step& s) { return s.call.kink; });
}

// Outputs that nobody uses, and at times one that is used, if they depend on a leaf that has a
// gradient.
void choose_outputs(Program& p, Draw& d) {
  std::set<int> depends;
  const std::set<int> taken = used(p);
  for (const Step& s : p.steps) {
    const bool on = s.is_call() ? std::ranges::any_of(s.call.operands,
                                                      [&](int v) { return depends.contains(v); })
                                : floating(s.leaf) && !s.constant;
    for (int k = 0; on && k < s.count; ++k) depends.insert(s.first + k);
    if (!s.is_call()) continue;
    for (int k = 0; k < s.count; ++k) {
      const int number = s.first + k;
      if (p.values[at(number)].size() == 0 || !depends.contains(number)) continue;
      if (!taken.contains(number) || d.chance(0.1)) p.outputs.push_back(number);
    }
  }
}

bool draw(Program& p, std::uint64_t attempt, std::optional<Op> wished) {
  Random random(p.seed, Stream::test, attempt + 1);
  Draw sizes(p, random, 0);
  const Index room = sizes.chance(0.9) ? 120 : sizes.chance(0.85) ? 1200 : 20000;
  Draw d(p, random, room);
  const Index wanted = 1 + d.below(kMostCalls);
  for (Index n = 0; n < 3 * wanted && p.calls() < wanted; ++n) {
    const Op any = static_cast<Op>(d.below(kOps));
    const Op op = wished && d.chance(0.5) ? *wished : any;
    p.add_call(op, facts(op).draw(d));
  }
  for (Step& s : p.steps) s.constant = !s.is_call() && d.chance(0.12);
  choose_outputs(p, d);
  prune(p);
  return !p.outputs.empty();
}

// In C++.
std::string written(const Tensor& t) {
  if (t.dtype() == DType::i32) {
    const auto values = t.values<std::int32_t>();
    return fmt::format("Tensor::of<std::int32_t>({}, std::vector<std::int32_t>{{{}}})",
                       braced(t.shape()), fmt::join(values.begin(), values.end(), ", "));
  }
  std::string list;
  for (const double v : t.values<double>()) {
    list += (list.empty() ? "" : ", ") + fmt::format("{}", v);
  }
  return fmt::format("Tensor::of({}, std::vector<double>{{{}}}, DType::f64)", braced(t.shape()),
                     list);
}

}  // namespace

int Program::add_leaf(const Tensor& leaf, std::string text) {
  Step s;
  s.first = static_cast<int>(values.size());
  s.leaf = leaf;
  s.text = std::move(text);
  values.push_back(leaf);
  steps.push_back(std::move(s));
  return steps.back().first;
}

bool Program::add_call(Op op, DrawnCall call) {
  Step s;
  s.first = static_cast<int>(values.size());
  s.count = static_cast<int>(call.references.size());
  s.op = op;
  s.call = std::move(call);
  const NoRecording off;
  const Tensors all = results(s, operands(s, values));
  if (!std::ranges::all_of(all, tame)) return false;
  values.insert(values.end(), all.begin(), all.end());
  steps.push_back(std::move(s));
  return true;
}

Tensors Program::leaves() const {
  Tensors all;
  for (const Step& s : steps) {
    if (!s.is_call()) all.push_back(s.leaf);
  }
  return all;
}

std::vector<int> Program::constants() const {
  std::vector<int> list;
  int number = 0;
  for (const Step& s : steps) {
    if (s.is_call()) continue;
    if (s.constant) list.push_back(number);
    ++number;
  }
  return list;
}

int Program::calls() const {
  return static_cast<int>(std::ranges::count_if(steps, &Step::is_call));
}

Tensors Program::operands(const Step& step, std::span<const Tensor> values) {
  Tensors all;
  for (const int v : step.call.operands) all.push_back(v == kLeftOut ? Tensor() : values[at(v)]);
  return all;
}

Tensors Program::results(const Step& step, std::span<const Tensor> operands,
                         bool composites) const {
  const bool other = composites && step.call.composite;
  Tensors all = (other ? step.call.composite : step.call.f)(operands);
  if (spoil) spoil(step.op, operands, all);
  // A loss of bf16 is f32.
  const auto given = std::ranges::find_if(operands, floating);
  for (Tensor& y : all) {
    if (y.dtype() != given->dtype()) y = cast(y, given->dtype());
  }
  return all;
}

Tensors Program::run(std::span<const Tensor> leaves, bool composites) const {
  Tensors all(values.size());
  std::size_t leaf = 0;
  for (const Step& s : steps) {
    if (s.is_call()) {
      run_step(*this, s, all, composites);
    } else {
      all[at(s.first)] = leaves[leaf++];
    }
  }
  Tensors results;
  for (const int o : outputs) results.push_back(all[at(o)]);
  return results;
}

TensorFunction Program::function(bool composites) const {
  return [this, composites](std::span<const Tensor> in) { return run(in, composites); };
}

TensorFunction Program::recomputed(std::vector<int> lengths) const {
  return [this, lengths = std::move(lengths)](std::span<const Tensor> in) {
    Tensors all(values.size());
    std::size_t leaf = 0;
    for (const Step& s : steps) {
      if (!s.is_call()) all[at(s.first)] = in[leaf++];
    }
    std::size_t turn = 0;
    for (auto s = steps.begin(); s != steps.end(); ++turn) {
      std::vector<const Step*> some;
      for (; s != steps.end() && std::ssize(some) < lengths[turn % lengths.size()]; ++s) {
        if (s->is_call()) some.push_back(&*s);
      }
      Segment segment(1 + static_cast<int>(turn % 2));
      const Tensors before = segment.open() ? all : Tensors();
      for (const Step* step : some) run_step(*this, *step, all, false);
      if (!segment.open()) continue;
      segment.close([this, some, before] {
        Tensors again = before;
        for (const Step* step : some) run_step(*this, *step, again, false);
      });
    }
    Tensors results;
    for (const int o : outputs) results.push_back(all[at(o)]);
    return results;
  };
}

Program draw_program(std::uint64_t seed, std::optional<Op> op) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    Program p;
    p.seed = seed;
    if (draw(p, attempt, op)) return p;
  }
}

std::optional<Program> draw_call(Op op, std::uint64_t seed) {
  Program p;
  p.seed = seed;
  Random random(seed, Stream::test, 1000 + static_cast<std::uint64_t>(op));
  Draw sizes(p, random, 0);
  const Index room = sizes.chance(0.8) ? 300 : sizes.chance(0.8) ? 3000 : 20000;
  Draw d(p, random, room, true);
  if (!p.add_call(op, facts(op).draw(d))) return {};
  const Step& call = p.steps.back();
  for (int k = 0; k < call.count; ++k) p.outputs.push_back(call.first + k);
  prune(p);
  return p;
}

namespace {

// The step with a leaf for each of its results instead: random numbers between the least and the
// largest of them, or their values.
std::optional<Program> cut(const Program& p, std::size_t step, bool random) {
  Program q = p;
  const Step& call = p.steps[step];
  std::vector<Step> leaves;
  for (int k = 0; k < call.count; ++k) {
    const int number = call.first + k;
    Step leaf;
    leaf.first = number;
    leaf.leaf = p.values[at(number)];
    if (random && leaf.leaf.size() > 0) {
      const auto values = leaf.leaf.values<double>();
      const auto [low, high] = std::ranges::minmax(values);
      const std::uint64_t seed = p.seed * 1000 + at(number);
      leaf.leaf = random_uniform(leaf.leaf.shape(), seed, low, high);
      leaf.text =
          fmt::format("random_uniform({}, {}, {}, {})", braced(leaf.leaf.shape()), seed, low, high);
    } else {
      if (leaf.leaf.size() > kWritten) return {};
      leaf.text = written(leaf.leaf);
    }
    leaves.push_back(std::move(leaf));
  }
  const auto place = q.steps.begin() + static_cast<std::ptrdiff_t>(step);
  q.steps.insert(q.steps.erase(place), leaves.begin(), leaves.end());
  std::erase_if(q.outputs, [&](int o) { return o >= call.first && o < call.first + call.count; });
  return q;
}

// Without the step: who uses it gets its operand of the same shape.
std::optional<Program> bypass(const Program& p, std::size_t step) {
  const Step& call = p.steps[step];
  for (const int operand : call.call.operands) {
    if (operand == kLeftOut || !floating(p.values[at(operand)])) continue;
    if (p.values[at(operand)].shape() != p.values[at(call.first)].shape()) continue;
    Program q = p;
    q.steps.erase(q.steps.begin() + static_cast<std::ptrdiff_t>(step));
    for (Step& s : q.steps) std::ranges::replace(s.call.operands, call.first, operand);
    std::ranges::replace(q.outputs, call.first, operand);
    return q;
  }
  return {};
}

// Runs it anew, so that `values` are those of these leaves; false where it doesn't run, or not to
// numbers.
bool settle(Program& p) {
  prune(p);
  if (p.outputs.empty()) return false;
  Tensors all(p.values.size());
  try {
    const NoRecording off;
    for (const Step& s : p.steps) {
      if (s.is_call()) {
        run_step(p, s, all, false);
      } else {
        all[at(s.first)] = s.leaf;
      }
    }
  } catch (const Error&) {
    return false;
  }
  if (!std::ranges::all_of(all, tame)) return false;
  p.values = std::move(all);
  return true;
}

class Shrinker {
 public:
  Shrinker(Program program, const std::function<bool(const Program&)>& fails)
      : best_(std::move(program)), fails_(fails) {}

  Program run() {
    while (fewer_outputs() || fewer_calls() || fewer_gradients()) {
    }
    return std::move(best_);
  }

 private:
  bool better(std::optional<Program> p) {
    if (!p || !settle(*p) || !fails_(*p)) return false;
    best_ = std::move(*p);
    return true;
  }

  // Any value alone, the first that fails; or one output less.
  bool fewer_outputs() {
    const Program p = best_;
    for (const Step& s : p.steps) {
      for (int k = 0; s.is_call() && k < s.count; ++k) {
        Program q = p;
        q.outputs = {s.first + k};
        if (q.outputs != p.outputs && (p.outputs.size() > 1 || s.first + k < p.outputs[0]) &&
            better(std::move(q))) {
          return true;
        }
      }
    }
    for (std::size_t o = 0; p.outputs.size() > 1 && o < p.outputs.size(); ++o) {
      Program q = p;
      q.outputs.erase(q.outputs.begin() + static_cast<std::ptrdiff_t>(o));
      if (better(std::move(q))) return true;
    }
    return false;
  }

  bool fewer_calls() {
    const Program p = best_;
    for (std::size_t i = p.steps.size(); i-- > 0;) {
      if (!p.steps[i].is_call()) continue;
      if (better(cut(p, i, true)) || better(cut(p, i, false)) || better(bypass(p, i))) return true;
    }
    return false;
  }

  bool fewer_gradients() {
    const Program p = best_;
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
      if (p.steps[i].is_call() || !floating(p.steps[i].leaf) || p.steps[i].constant) continue;
      Program q = p;
      q.steps[i].constant = true;
      if (better(std::move(q))) return true;
    }
    return false;
  }

  Program best_;
  const std::function<bool(const Program&)>& fails_;
};

}  // namespace

Program shrunk(Program program, const std::function<bool(const Program&)>& fails) {
  return Shrinker(std::move(program), fails).run();
}

std::string source(const Program& p) {
  std::vector<std::string> names(p.values.size());
  std::string leaves;
  std::string body;
  int leaf = 0;
  int call = 0;
  for (const Step& s : p.steps) {
    if (!s.is_call()) {
      names[at(s.first)] = fmt::format("in[{}]", leaf++);
      leaves += fmt::format("      {},\n", s.text);
      continue;
    }
    std::string text = s.call.text;
    for (std::size_t i = s.call.operands.size(); i-- > 0;) {
      const int v = s.call.operands[i];
      const std::string name = v == kLeftOut ? "Tensor()" : names[at(v)];
      const std::string mark = fmt::format("@{}", i);
      for (std::size_t k = text.find(mark); k != std::string::npos; k = text.find(mark, k)) {
        text.replace(k, mark.size(), name);
        k += name.size();
      }
    }
    const std::string own = fmt::format("v{}", call++);
    for (std::size_t k = 0; k < at(s.count); ++k) {
      names[at(s.first) + k] = s.call.members.empty() ? own : own + "." + s.call.members[k];
    }
    body += fmt::format("    const auto {} = {};\n", own, text);
  }
  std::vector<std::string> results;
  for (const int o : p.outputs) results.push_back(names[at(o)]);
  return fmt::format(
      "  const std::vector<Tensor> leaves{{\n{}  }};\n"
      "  const auto f = [](std::span<const Tensor> in) {{\n{}"
      "    return std::vector<Tensor>{{{}}};\n  }};\n",
      leaves, body, fmt::join(results, ", "));
}

}  // namespace posetape

#include "engine/trials.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <set>

#include "engine/oracles.hpp"
#include "engine/rng.hpp"
#include "engine/tape.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

// Two ways of adding the same numbers, and of adding those whose terms cancel beside the rounding
// that was drawn.
constexpr double kRounding = 1e-13;
constexpr double kDrawn = 8;
// Elements of all inputs up to which ties are tried: larger inputs add time, not sharpness.
constexpr Index kTiedSize = 1 << 13;
constexpr int kMostPairs = 24;
// Extents that are tried. The largest is the first at which an input has over kLarge elements.
constexpr Index kLarge = 1000;
constexpr Index kExtents[] = {1, 65, 33, 17, 2, 16, 15, 64, 63, 32, 31, 129, 257};
// Elements of all inputs, work of one size, and of all: operations and bytes of a forward pass.
constexpr Index kMostElements = 1 << 16;
constexpr double kMostWork = 4e7;
constexpr double kAllWork = 4e8;
// Values at another size are within so much of one of the input's own.
constexpr double kSpread = 0.05;

// Sets of (input, axis) that have one extent, and vary together.
using Axes = std::vector<std::pair<std::size_t, int>>;

struct Sized {
  Axes axes;
  Index extent;
};

Tensor reshaped_values(const Tensor& x, const Shape& shape, bool vary, bool no_zeros,
                       std::uint64_t seed) {
  const Tensor y = Tensor::empty(shape, x.dtype());
  Random random(seed, Stream::test);
  for (Index k = 0; k < y.size(); ++k) {
    // The element of x at the same place, counted modulo its extents.
    Index from = 0;
    for (int a = 0; a < shape.rank(); ++a) {
      from = from * x.shape()[a] + k / shape.inner(a) % shape[a] % x.shape()[a];
    }
    if (x.dtype() == DType::i32) {
      y.data<std::int32_t>()[k] = x.data<std::int32_t>()[from];
      continue;
    }
    double v = x.data<double>()[from];
    for (Index n = 1; v == 0 && no_zeros && n < x.size(); ++n) {
      v = x.data<double>()[(from + n) % x.size()];
    }
    y.data<double>()[k] = vary ? v * (1 + kSpread * random.uniform(-1, 1)) : v;
  }
  return y;
}

bool same_shape(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape();
}

// b's shape is the end of a's.
bool ends_in(const Shape& a, const Shape& b) {
  const auto x = a.dims();
  const auto y = b.dims();
  return x.size() >= y.size() &&
         std::equal(y.begin(), y.end(), x.end() - static_cast<long>(y.size()));
}

std::string shapes(const Tensors& inputs) {
  std::string text;
  for (const Tensor& x : inputs) {
    text += (text.empty() ? "" : ", ") + (x.defined() ? x.shape().text() : std::string("-"));
  }
  return text;
}

class Trials {
 public:
  Trials(const TensorFunction& f, std::span<const Tensor> inputs, const GradcheckOptions& options)
      : f_(f),
        inputs_(cloned(inputs)),
        options_(options),
        checked_(checked_inputs(inputs, options)) {}

  std::vector<Finding> run(std::optional<Oracle> only) {
    options_.zero.clear();  // a gradient may be zero at one point alone
    const auto applies = [&](Oracle oracle) {
      return (!only || *only == oracle) &&
             std::ranges::find(options_.without, oracle) == options_.without.end();
    };
    if (applies(Oracle::same)) timed(Oracle::same, &Trials::same);
    if (applies(Oracle::ties)) timed(Oracle::ties, &Trials::ties);
    if (applies(Oracle::sizes)) timed(Oracle::sizes, &Trials::sizes);
    return std::move(findings_);
  }

 private:
  bool without(Oracle oracle) const {
    return std::ranges::find(options_.without, oracle) != options_.without.end();
  }

  // Calls a method that returns what it has to say of input i.
  void timed(Oracle oracle, std::optional<Finding> (Trials::*trial)(std::size_t)) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!checked_[i]) continue;
      const auto start = std::chrono::steady_clock::now();
      std::optional<Finding> finding = (this->*trial)(i);
      if (!finding) continue;
      finding->input = static_cast<int>(i);
      finding->oracle = oracle;
      finding->passed = finding->verdict != Verdict::disagree;
      finding->seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      findings_.push_back(std::move(*finding));
    }
  }

  // f at these inputs, where it runs there and its results are finite. Whatever it throws means no.
  template <class F>
  bool attempt(const Tensors& inputs, const GradcheckOptions& options, const F& use) {
    try {
      Oracles oracles(f_, inputs, options);
      if (!finite(oracles.outputs())) {
        refused_ = "the results are not finite";
        return false;
      }
      return use(oracles);
    } catch (const std::exception& error) {
      refused_ = error.what();
      return false;
    }
  }

  // The gradients where inputs i and j are one tensor, and where they are two of equal values.
  // Only pairs that come after i, so that each is tried once.
  std::optional<Finding> same(std::size_t i) {
    std::optional<Finding> result;
    for (std::size_t j = i + 1; j < inputs_.size(); ++j) {
      if (!checked_[j] || pairs_ == kMostPairs) continue;
      ++pairs_;
      if (same_shape(inputs_[i], inputs_[j])) pair(i, j, inputs_, inputs_[i], result);
      if (options_.intercept) continue;
      const Shape& a = inputs_[i].shape();
      const Shape& b = inputs_[j].shape();
      if (a != b && ends_in(a, b)) pair(i, j, inputs_, inputs_[j], result);
      if (a != b && ends_in(b, a)) pair(i, j, inputs_, inputs_[i], result);
      const Tensors square = squared();
      if (a != b && !square.empty() && same_shape(square[i], square[j])) {
        pair(i, j, square, square[i], result);
      }
    }
    return result;
  }

  void pair(std::size_t i, std::size_t j, const Tensors& at, const Tensor& x,
            std::optional<Finding>& result) {
    if (result && result->verdict == Verdict::disagree) return;
    Tensors two = at;
    two[i] = x.clone();
    two[j] = x.clone();
    const bool own_shapes = &at == &inputs_ && same_shape(at[i], x) && same_shape(at[j], x);
    try {
      if (!own_shapes && !right_at(two, i, j)) return;
      const Tensors apart = gradients(two);
      two[j] = two[i];
      const Tensors together = gradients(two);
      if (!finite(apart)) return;
      double worst = 0;
      double scale = 0;
      for (Index k = 0; k < x.size(); ++k) {
        const double a = apart[i].data<double>()[k];
        const double b = apart[j].data<double>()[k];
        const double error = std::fabs(together[i].data<double>()[k] - (a + b));
        if (!(error <= worst)) worst = error;
        scale = std::max({scale, std::fabs(a), std::fabs(b)});
      }
      const bool holds = worst <= kRounding * scale || worst <= kRounding * scale + drawn(two, i);
      if (!result) result.emplace();
      result->verdict = holds ? Verdict::agree : Verdict::disagree;
      result->error = std::max(result->error, scale > 0 ? worst / scale : worst);
      if (!holds) {
        result->note =
            fmt::format("inputs {} and {} given as one tensor {}: not the sum of both gradients", i,
                        j, x.shape().text());
      }
    } catch (const std::exception&) {
      // Refused: these two can't be one.
    }
  }

  // An op of one's own that doesn't refuse these shapes may still not be made for them.
  bool right_at(const Tensors& inputs, std::size_t i, std::size_t j) const {
    if (without(Oracle::adjoint)) return false;
    GradcheckOptions options = options_;
    options.full_up_to = 0;
    options.directions = 1;
    Oracles oracles(f_, inputs, options);
    return oracles.check(Oracle::adjoint, i).verdict == Verdict::agree &&
           oracles.check(Oracle::adjoint, j).verdict == Verdict::agree;
  }

  // Where both are one tensor and its terms cancel.
  double drawn(const Tensors& two, std::size_t i) const {
    Oracles oracles(f_, two, options_);
    return kDrawn * largest(oracles.rounding(i));
  }

  // Of f's outputs times random cotangents; inputs that are one tensor have one gradient.
  Tensors gradients(const Tensors& inputs) const {
    Tape tape;
    Tensors outputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (checked_[i]) tape.watch(inputs[i]);
    }
    {
      const Recording on(tape);
      outputs = f_(inputs);
      std::erase_if(outputs, [](const Tensor& y) { return !recording({y}) || y.size() == 0; });
    }
    if (outputs.empty()) fail("nothing depends on the inputs");
    Tensors all(inputs.size());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      Tape::Options options;
      options.cotangent = random_normal(outputs[o].shape(), options_.seed * 9000 + o);
      const Interception on(options_.intercept);
      const Gradients g = tape.backward(outputs[o], options);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!checked_[i]) continue;
        if (all[i].defined()) {
          accumulate(g.of(inputs[i]), all[i]);
        } else {
          all[i] = g.of(inputs[i]).clone();
        }
      }
    }
    return all;
  }

  // All extents over 1 made equal; empty where they are.
  Tensors squared() const {
    Index most = 0;
    bool differ = false;
    for (const Tensor& x : inputs_) {
      if (!x.defined()) continue;
      for (const Index d : x.shape().dims()) {
        if (d <= 1) continue;
        differ = differ || (most != 0 && d != most);
        most = std::max(most, d);
      }
    }
    if (!differ || most > 64) return {};
    Axes axes;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      for (int a = 0; inputs_[i].defined() && a < inputs_[i].shape().rank(); ++a) {
        if (inputs_[i].shape()[a] > 1) axes.emplace_back(i, a);
      }
    }
    return sized({axes, most});
  }

  Tensors sized(const Sized& size) const {
    Tensors inputs = inputs_;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].defined()) continue;
      Shape shape = inputs[i].shape();
      for (const auto& [input, axis] : size.axes) {
        if (input == i) shape = shape.with(axis, size.extent);
      }
      if (shape == inputs[i].shape() || inputs[i].size() == 0) continue;
      inputs[i] = reshaped_values(inputs_[i], shape, checked_[i], checked_[i] && options_.kink,
                                  options_.seed * 8000 + i);
    }
    return inputs;
  }

  std::optional<Finding> ties(std::size_t i) {
    Index elements = 0;
    for (const Tensor& x : inputs_) elements += x.defined() ? x.size() : 0;
    const Tensor& x = inputs_[i];
    if (elements > kTiedSize || x.size() < 1) return {};
    std::optional<Finding> result;
    const auto put = [&](Finding found) {
      if (result && result->verdict == Verdict::disagree) return;
      if (found.verdict != Verdict::agree && found.verdict != Verdict::disagree) return;
      if (!result || found.verdict == Verdict::disagree || found.error > result->error) {
        result = std::move(found);
      }
    };
    const Shape& shape = x.shape();
    int axes = 0;
    for (const Index d : shape.dims()) axes += d > 1 ? 1 : 0;
    Tensors tied = inputs_;
    for (int a = 0; a < shape.rank(); ++a) {
      if (shape[a] <= 1) continue;
      tied[i] = Tensor::empty(shape, DType::f64);
      for (Index k = 0; k < x.size(); ++k) {
        tied[i].data<double>()[k] =
            x.data<double>()[k - k / shape.inner(a) % shape[a] * shape.inner(a)];
      }
      tied_at(i, tied, fmt::format("all equal along axis {}", a), put);
    }
    if (axes > 1) {
      tied[i] = Tensor::full(shape, x.data<double>()[0], DType::f64);
      tied_at(i, tied, "all equal", put);
    }
    for (std::size_t j = i + 1; j < inputs_.size(); ++j) {
      if (!checked_[j] || !same_shape(x, inputs_[j])) continue;
      Tensors equal = inputs_;
      equal[j] = x.clone();
      const Tensor direction = random_normal(shape, options_.seed * 7901);
      Probe p{Tensors(inputs_.size()), 0, fmt::format("inputs {} and {} equal", i, j)};
      p.direction[i] = p.direction[j] = direction;
      double squares = 0;
      for (const double v : direction.values<double>()) squares += 2 * v * v;
      p.length = std::sqrt(squares);
      attempt(equal, options_, [&](Oracles& oracles) {
        if (finite(oracles.gradients())) put(both_say(oracles, i, {p}));
        return true;
      });
    }
    return result;
  }

  template <class F>
  void tied_at(std::size_t i, const Tensors& tied, const std::string& how, const F& put) {
    attempt(tied, options_, [&](Oracles& oracles) {
      std::vector<Probe> probes = oracles.together(i);
      for (Probe& p : probes) p.where = how;
      // A norm has no derivative where all elements are equal to its centre.
      const bool known = finite(oracles.gradients());
      if (known && !probes.empty()) put(both_say(oracles, i, probes));
      return true;
    });
  }

  // The adjoint test knows one convention where f has a kink all the same, and differences none: a
  // gradient is wrong where both say so.
  Finding both_say(Oracles& oracles, std::size_t i, const std::vector<Probe>& probes) const {
    Finding finding;
    finding.verdict = Verdict::skipped;
    if (!without(Oracle::adjoint)) finding = oracles.check(Oracle::adjoint, i, probes);
    const bool refuted = finding.verdict == Verdict::disagree;
    if ((refuted || finding.verdict == Verdict::skipped) && !without(Oracle::differences)) {
      finding = oracles.check(Oracle::differences, i, probes);
    }
    if (finding.verdict == Verdict::disagree) {
      finding.note = "where elements are equal and move together, the gradient is another one";
    }
    return finding;
  }

  // What `sizes` says of all inputs is found in one go.
  std::optional<Finding> sizes(std::size_t i) {
    if (!sizes_) {
      sizes_.emplace(inputs_.size());
      tried_ = try_sizes(*sizes_);
    }
    Finding finding = (*sizes_)[i];
    if (finding.confirmed == 0 && finding.verdict != Verdict::disagree) {
      finding.verdict = Verdict::skipped;
    }
    if (finding.verdict != Verdict::disagree) finding.note = tried_;
    return finding;
  }

  // The axes of this extent in all inputs that `wanted(axis, rank)` wants.
  template <class F>
  Axes axes_of(Index extent, const F& wanted) const {
    Axes axes;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Shape shape = inputs_[i].defined() ? inputs_[i].shape() : Shape();
      for (int a = 0; a < shape.rank(); ++a) {
        if (shape[a] == extent && wanted(a, shape.rank())) axes.emplace_back(i, a);
      }
    }
    return axes;
  }

  // Sets of axes that vary together, and by how they do it: all of one extent; where f refuses
  // that, a batch may be as large as something else by chance, so those that are first, and those
  // that are last. Not at once: who doesn't refuse wrong shapes computes garbage with them.
  std::vector<Axes> groups() {
    std::set<Index> extents;
    for (const Tensor& x : inputs_) {
      for (int a = 0; x.defined() && a < x.shape().rank(); ++a) {
        if (x.shape()[a] > 1) extents.insert(x.shape()[a]);
      }
    }
    std::vector<Axes> all;
    for (const Index d : extents) {
      const Axes every = axes_of(d, [](int, int) { return true; });
      if (accepts(sized({every, d + 1}))) {
        all.push_back(every);
        continue;
      }
      const Axes first = axes_of(d, [](int a, int) { return a == 0; });
      const Axes last = axes_of(d, [](int a, int rank) { return a == rank - 1; });
      for (const Axes& axes : {first, last}) {
        if (!axes.empty() && axes != every && accepts(sized({axes, d + 1}))) all.push_back(axes);
      }
    }
    return all;
  }

  bool accepts(const Tensors& inputs) {
    try {
      work(inputs);
      return true;
    } catch (const std::exception& error) {
      refused_ = error.what();
      return false;
    }
  }

  Index elements(const Sized& size, bool smallest) const {
    Index total = 0;
    Index least = 0;
    Index most = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_[i].defined()) continue;
      Index n = inputs_[i].size();
      bool varies = false;
      for (const auto& [input, axis] : size.axes) {
        if (input != i) continue;
        n = n / inputs_[i].shape()[axis] * size.extent;
        varies = true;
      }
      total += n;
      if (!varies) continue;
      least = least == 0 ? n : std::min(least, n);
      most = std::max(most, n);
    }
    if (total > kMostElements) return -1;
    return smallest ? least : most;
  }

  // The first extent at which every input that varies has more than kLarge elements, or at least
  // one does, where that is too large; 0 where that is as well.
  Index large(const Axes& axes) const {
    for (const bool smallest : {true, false}) {
      for (Index n = 2; n < kMostElements; ++n) {
        const Index size = elements({axes, n}, smallest);
        if (size < 0) break;
        if (size > kLarge) return n;
      }
    }
    return 0;
  }

  double work(const Tensors& inputs) const {
    const Tensors own = cloned(inputs);
    Tape tape;
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (checked_[i]) tape.watch(own[i]);
    }
    const Recording on(tape);
    f_(own);
    double sum = 0;
    for (const Node& node : tape.nodes()) {
      const Cost c = cost(node);
      sum += c.flops + c.bytes;
    }
    return sum;
  }

  // Returns what was tried.
  std::string try_sizes(std::vector<Finding>& findings) {
    for (Finding& f : findings) f.verdict = Verdict::agree;
    if (options_.intercept) return "sizes not tried: options.intercept may know the shapes";
    if (without(Oracle::adjoint) && !options_.composite) return "sizes not tried: no adjoint test";
    refused_ = "no extent is over 1";
    const std::vector<Axes> all = groups();
    if (all.empty()) return "sizes not tried: " + refused_;
    bool indices = false;
    for (const Tensor& x : inputs_) indices = indices || (x.defined() && x.dtype() == DType::i32);
    std::vector<Sized> sizes;
    for (const Axes& axes : all) {
      if (const Index n = large(axes)) sizes.push_back({axes, n});
    }
    for (const Index n : kExtents) {
      for (const Axes& axes : all) {
        const Index own = inputs_[axes[0].first].shape()[axes[0].second];
        // Indices stay below what they count.
        if (n == own || (indices && n < own) || elements({axes, n}, true) < 0) continue;
        sizes.push_back({axes, n});
      }
    }
    int accepted = 0;
    bool too_much = false;
    double spent = 0;
    refused_ = "too large";
    for (const Sized& size : sizes) {
      const Tensors inputs = sized(size);
      try {
        const double own = work(inputs);
        if (own > kMostWork || spent > kAllWork) {
          too_much = true;
          continue;
        }
        spent += own * static_cast<double>(3 + inputs_.size());
      } catch (const std::exception& error) {
        refused_ = error.what();
        continue;
      }
      accepted += try_size(inputs, findings) ? 1 : 0;
    }
    if (accepted > 0) {
      return fmt::format("{} other sizes{}", accepted, too_much ? ", larger ones left out" : "");
    }
    return "sizes not tried: " + refused_;
  }

  bool try_size(const Tensors& inputs, std::vector<Finding>& findings) {
    GradcheckOptions options = options_;
    options.full_up_to = 0;
    options.directions = 1;
    return attempt(inputs, options, [&](Oracles& oracles) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        for (const Oracle oracle : {Oracle::adjoint, Oracle::composite}) {
          if (!checked_[i] || without(oracle) || findings[i].verdict == Verdict::disagree) continue;
          if (oracle == Oracle::composite && !options_.composite) continue;
          const Finding found = oracles.check(oracle, i);
          // Where nothing depends on it at this size, or the composite has none, nothing is told.
          if (found.verdict == Verdict::disagree &&
              (finite(oracles.gradients()) || known(oracles, i))) {
            findings[i] = found;
            findings[i].note = fmt::format("with inputs {}, by {}", shapes(inputs), name(oracle));
          } else if (found.verdict == Verdict::agree) {
            findings[i].confirmed += 1;
            findings[i].error = std::max(findings[i].error, found.error);
          }
        }
      }
      return true;
    });
  }

  // The derivative is finite where the gradient isn't.
  bool known(Oracles& oracles, std::size_t i) const {
    Tensors tangents(inputs_.size());
    tangents[i] = random_normal(oracles.inputs()[i].shape(), options_.seed);
    return finite(jvp(f_, oracles.inputs(), tangents));
  }

  const TensorFunction& f_;
  Tensors inputs_;
  GradcheckOptions options_;
  std::vector<bool> checked_;
  std::vector<Finding> findings_;
  int pairs_ = 0;
  std::string refused_;  // why the last trial told nothing
  std::optional<std::vector<Finding>> sizes_;
  std::string tried_;
};

}  // namespace

std::vector<Finding> check_trials(const TensorFunction& f, std::span<const Tensor> inputs,
                                  const GradcheckOptions& options, std::optional<Oracle> only) {
  return Trials(f, inputs, options).run(only);
}

}  // namespace posetape

// gradcheck(f, inputs) as a program outside calls it: bugs in ops of one's own that a single small
// input finds, and points at which a right gradient must not be called wrong.
#include "engine/gradcheck.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <type_traits>

#include "engine/add_op.hpp"
#include "engine/dispatch.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"
#include "engine/tape.hpp"
#include "kernels/base/numbers_math.hpp"

using namespace posetape;

namespace {

using Outputs = std::vector<Tensor>;
using Inputs = std::span<const Tensor>;

enum class Bug {
  none,
  first_row_only,        // the sum over the rows that a factor is used in was left out
  every_tie,             // each of equal maxima gets the whole gradient
  same_input,            // one tensor as both factors: the second term is lost
  tail,                  // the last element where a vector doesn't divide the size
  saved_in_f32,          // a factor has lost its digits before backward
  large,                 // wrong from element 1000 on
  add_ignored,           // writes where it should add
  saved_spoiled,         // backward destroys what it needs the next time
  forward,               // the values are wrong, and the gradient is that of the right ones
  index_past_a_block,    // the second block of 64 rows repeats the first
  reads_what_was_there,  // looks at memory that it should only write
};
Bug bug = Bug::none;

struct Planted {
  explicit Planted(Bug b) { bug = b; }
  ~Planted() { bug = Bug::none; }
};

struct Rows {
  Index count, width;
};

// y[r, c] = x[r, c] b[c]
void scale_rows_rule(const Node& node, Backward& backward) {
  const auto [count, width] = node.attributes.as<Rows>();
  const Index size = count * width;
  dispatch(node.saved[0], [&]<class T>(auto) {
    T* x = node.saved[0].data<T>();
    const T* b = node.saved[1].data<T>();
    const T* dy = backward.cotangent().data<T>();
    const auto dx = backward.gradient<T>(0);
    const auto db = backward.gradient<T>(1);
    const bool same = node.inputs[0].id == node.inputs[1].id;
    for (Index i = 0; dx.wanted() && i < size; ++i) {
      const bool in_tail = size % 4 != 0 && i == size - 1;
      auto factor = load(b[i % width]);
      if constexpr (std::is_same_v<T, double>) {
        if (bug == Bug::saved_in_f32) factor = static_cast<float>(factor);
      }
      Index from = i;
      if (bug == Bug::index_past_a_block && i >= 64 * width) from = i - 64 * width;
      auto value = load(dy[from]) * factor;
      if ((bug == Bug::tail && in_tail) || (bug == Bug::large && i > 1000))
        value = value * Accumulator<T>(0.5);
      if (bug == Bug::add_ignored) {
        dx.data[i] = store<T>(value);
      } else if (bug == Bug::reads_what_was_there && !(load(dx.data[i]) == load(dx.data[i]))) {
        dx.data[i] = store<T>(value * Accumulator<T>(0.5));
      } else {
        dx.put(i, value);
      }
    }
    for (Index c = 0; db.wanted() && !(bug == Bug::same_input && same) && c < width; ++c) {
      Accumulator<T> sum = 0;
      const Index rows = bug == Bug::first_row_only ? std::min<Index>(count, 1) : count;
      for (Index r = 0; r < rows; ++r) sum = sum + load(dy[r * width + c]) * load(x[r * width + c]);
      db.put(c, sum);
    }
    for (Index i = 0; bug == Bug::saved_spoiled && i < size; ++i) x[i] = T(0);
  });
}
const Rule kScaleRows{scale_rows_rule,
                      [](const Node& n) { return double(n.outputs[0].shape.size()); }};
const Op kScaleRowsOp = add_op("scale_rows", kScaleRows);

Tensor scale_rows(const Tensor& x, const Tensor& b) {
  const Rows rows{x.size() / b.size(), b.size()};
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  dispatch(x, [&]<class T>(auto) {
    for (Index i = 0; i < x.size(); ++i) {
      auto value = load(x.data<T>()[i]) * load(b.data<T>()[i % rows.width]);
      if (bug == Bug::forward) value = value * Accumulator<T>(1.5);
      y.data<T>()[i] = store<T>(value);
    }
  });
  record(kScaleRowsOp, {x, b}, {y}, {x, b}, rows);
  return y;
}

// Which of equal maxima gets the gradient.
enum class Ties { first, last, shared };
Ties ties = Ties::first;

// The largest of each row. Numbers that carry derivatives see the first of equals.
void row_max_rule(const Node& node, Backward& backward) {
  if (!backward.wants(0)) return;
  const auto [count, width] = node.attributes.as<Rows>();
  dispatch(node.saved[0], [&]<class T>(auto) {
    const T* y = node.saved[1].data<T>();
    const auto dx = backward.gradient<T>(0);
    for (Index r = 0; r < count; ++r) {
      const T* x = node.saved[0].data<T>() + r * width;
      std::vector<Index> hits;
      for (Index c = 0; c < width; ++c) {
        if (!(load(x[c]) < load(y[r]))) hits.push_back(c);
      }
      for (Index c = 0; c < width; ++c) {
        const bool hit = std::ranges::find(hits, c) != hits.end();
        const Index chosen = ties == Ties::last ? hits.back() : hits.front();
        double share = hit && c == chosen ? 1 : 0;
        if (ties == Ties::shared) share = hit ? 1.0 / static_cast<double>(hits.size()) : 0;
        if (bug == Bug::every_tie) share = hit ? 1 : 0;
        dx.put(r * width + c,
               load(backward.cotangent().data<T>()[r]) * static_cast<Accumulator<T>>(share));
      }
    }
  });
}
const Rule kRowMax{row_max_rule, [](const Node& n) { return double(n.outputs[0].shape.size()); }};
const Op kRowMaxOp = add_op("row_max", kRowMax);

Tensor row_max(const Tensor& x) {
  const Rows rows{x.shape()[0], x.shape()[1]};
  const Tensor y = Tensor::empty({rows.count}, x.dtype());
  dispatch(x, [&]<class T>(auto) {
    for (Index r = 0; r < rows.count; ++r) {
      const T* row = x.data<T>() + r * rows.width;
      Index best = 0;
      for (Index c = 1; c < rows.width; ++c) {
        if (load(row[best]) < load(row[c])) best = c;
      }
      y.data<T>()[r] = row[best];
    }
  });
  record(kRowMaxOp, {x}, {y}, {x, y}, rows);
  return y;
}

Outputs scaled_rows(Inputs in) {
  return {scale_rows(in[0], in[1])};
}
Outputs maxima(Inputs in) {
  return {row_max(in[0])};
}

Tensor of(const Shape& shape, const std::vector<double>& values) {
  return Tensor::of<double>(shape, values);
}

const Finding* find(const GradcheckReport& report, Oracle oracle, int input = 0) {
  for (const Finding& f : report.findings) {
    if (f.oracle == oracle && f.input == input) return &f;
  }
  return nullptr;
}

Verdict verdict(const GradcheckReport& report, Oracle oracle, int input = 0) {
  const Finding* found = find(report, oracle, input);
  REQUIRE(found != nullptr);
  return found->verdict;
}

GradcheckOptions at_a_kink() {
  GradcheckOptions options;
  options.kink = true;
  return options;
}

// What gradcheck throws; empty where it throws nothing.
std::string error_of(const TensorFunction& f, Inputs inputs) {
  try {
    gradcheck(f, inputs);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an op of one's own passes the call that a program makes first") {
  const std::vector<Tensor> inputs{random_normal({3, 5}, 1), random_normal({5}, 2)};
  const GradcheckReport report = gradcheck(scaled_rows, inputs);
  CHECK_MESSAGE(report.passed(), report.failures());
  for (const Oracle oracle : {Oracle::differences, Oracle::adjoint, Oracle::complex_step,
                              Oracle::alone, Oracle::added, Oracle::twice, Oracle::destination,
                              Oracle::pure, Oracle::same, Oracle::ties, Oracle::sizes}) {
    CHECK_MESSAGE(verdict(report, oracle) == Verdict::agree, std::string(name(oracle)));
  }
  const GradcheckReport of_max = gradcheck(maxima, std::vector{inputs[0]});
  CHECK_MESSAGE(of_max.passed(), of_max.failures());
}

TEST_CASE("each planted bug is found by the call that a program makes first") {
  const std::vector<Tensor> inputs{random_normal({3, 5}, 1), random_normal({5}, 2)};
  struct Known {
    Bug bug;
    Oracle found_by;
    int input;
  };
  for (const Known& known : {
           Known{Bug::first_row_only, Oracle::adjoint, 1},
           Known{Bug::same_input, Oracle::same, 0},
           Known{Bug::tail, Oracle::adjoint, 0},
           Known{Bug::saved_in_f32, Oracle::adjoint, 0},
           Known{Bug::large, Oracle::sizes, 0},
           Known{Bug::add_ignored, Oracle::twice, 0},
           Known{Bug::add_ignored, Oracle::added, 0},
           Known{Bug::forward, Oracle::differences, 0},
           Known{Bug::index_past_a_block, Oracle::sizes, 0},
           Known{Bug::reads_what_was_there, Oracle::destination, 0},
       }) {
    const Planted planted(known.bug);
    const GradcheckReport report = gradcheck(scaled_rows, inputs);
    CHECK_FALSE(report.passed());
    CHECK_MESSAGE(verdict(report, known.found_by, known.input) == Verdict::disagree,
                  static_cast<int>(known.bug), " ", report.failures());
  }
  const Planted planted(Bug::every_tie);
  const GradcheckReport report = gradcheck(maxima, std::vector{inputs[0]});
  CHECK(verdict(report, Oracle::adjoint) == Verdict::agree);
  CHECK(verdict(report, Oracle::ties) == Verdict::disagree);
  CHECK_FALSE(report.passed());
}

// The tape may find it first, and say so in an Error.
TEST_CASE("a rule that spoils what it saved is found") {
  const Planted planted(Bug::saved_spoiled);
  const std::vector<Tensor> inputs{random_normal({3, 5}, 1), random_normal({5}, 2)};
  bool passed = false;
  try {
    passed = gradcheck(scaled_rows, inputs).passed();
  } catch (const Error&) {
  }
  CHECK_FALSE(passed);
  CHECK(inputs[0].data<double>()[0] == random_normal({3, 5}, 1).data<double>()[0]);
}

TEST_CASE("at equal maxima every convention is right but the one that gives each all") {
  const std::vector<Tensor> inputs{of({2, 3}, {1, 1, 0, 2, 2, 2})};
  for (const Ties convention : {Ties::first, Ties::last, Ties::shared}) {
    ties = convention;
    const GradcheckReport declared = gradcheck(maxima, inputs, at_a_kink());
    CHECK_MESSAGE(declared.passed(), static_cast<int>(convention), declared.failures());
    const GradcheckReport report = gradcheck(maxima, inputs);
    CHECK_FALSE(report.passed());  // nobody said that there is a kink
    for (const Finding& f : report.findings) CHECK(f.verdict != Verdict::disagree);
    CHECK(contains(report.failures(), "declare options.kink"));
  }
  ties = Ties::first;
  const Planted planted(Bug::every_tie);
  const GradcheckReport report = gradcheck(maxima, inputs, at_a_kink());
  CHECK(verdict(report, Oracle::adjoint) == Verdict::disagree);
  CHECK(verdict(report, Oracle::ties) == Verdict::disagree);
}

TEST_CASE(
    "relu at and near its kink: numbers that carry derivatives agree, differences can't tell") {
  const TensorFunction f = [](Inputs in) { return Outputs{relu(in[0])}; };
  for (const double near : {0.0, -0.0, 1e-4, -1e-4, 1e-7, 1e-12}) {
    const std::vector<Tensor> inputs{of({4}, {-1, near, 1, 2})};
    const GradcheckReport report = gradcheck(f, inputs, at_a_kink());
    CHECK_MESSAGE(report.passed(), near, report.failures());
    CHECK(verdict(report, Oracle::differences) == Verdict::unresolved);
    CHECK(verdict(report, Oracle::adjoint) == Verdict::agree);
    CHECK(verdict(report, Oracle::complex_step) == Verdict::agree);
    CHECK_FALSE(gradcheck(f, inputs).passed());  // not declared
  }
}

TEST_CASE("a declared kink hides no error beside it") {
  GradcheckOptions options = at_a_kink();
  SUBCASE("of an element that is off the kink") {
    options.intercept = [](const Node&, int, const Tensor& g, Into&) {
      g.data<double>()[2] *= 1.01;
    };
  }
  SUBCASE("of the one that is on it, where the slope is none of both sides") {
    options.intercept = [](const Node&, int, const Tensor& g, Into&) { g.data<double>()[1] = 9; };
  }
  const std::vector<Tensor> inputs{of({4}, {-1, 0, 1, 2})};
  const GradcheckReport report =
      gradcheck([](Inputs in) { return Outputs{relu(in[0])}; }, inputs, options);
  CHECK_FALSE(report.passed());
  CHECK(verdict(report, Oracle::adjoint) == Verdict::disagree);
}

TEST_CASE("what no oracle can tell has not passed") {
  GradcheckOptions options = at_a_kink();
  options.without = {Oracle::adjoint, Oracle::complex_step};
  const GradcheckReport report =
      gradcheck([](Inputs in) { return Outputs{relu(in[0])}; }, std::vector{of({1}, {0})}, options);
  CHECK(verdict(report, Oracle::differences) == Verdict::unresolved);
  CHECK_FALSE(report.passed());
  CHECK(contains(report.failures(), "no oracle could tell"));
}

TEST_CASE("a step over a pole or out of the domain is unresolved, with advice") {
  const TensorFunction ratio = [](Inputs in) { return Outputs{div(in[0], in[1])}; };
  const TensorFunction logarithm = [](Inputs in) { return Outputs{log(in[0])}; };
  const auto check = [](const TensorFunction& f, const std::vector<Tensor>& inputs, int input) {
    const GradcheckReport report = gradcheck(f, inputs);
    CHECK(verdict(report, Oracle::differences, input) == Verdict::unresolved);
    CHECK(verdict(report, Oracle::adjoint, input) == Verdict::agree);
    CHECK(contains(find(report, Oracle::differences, input)->note, "options.step"));
    for (const Finding& f_ : report.findings) CHECK(f_.verdict != Verdict::disagree);
  };
  for (const double b : {1e-3, 1e-5, 1e-7, 1e-9, 1e-12}) {
    check(ratio, {random_normal({3}, 1), of({3}, {b, 1, 2})}, 1);
  }
  check(logarithm, {of({2}, {1e-3, 1})}, 0);
  GradcheckOptions fine;
  fine.step = 1e-6;  // the advice is good
  const GradcheckReport report = gradcheck(
      ratio, std::vector{random_normal({3}, 1), of({3}, {1e-4, 1, 2})}, fine, Oracle::differences);
  for (const Finding& f : report.findings) CHECK(f.verdict != Verdict::disagree);
}

TEST_CASE("differences that can't tell don't say that a right gradient is wrong") {
  for (const double gap : {1e-1, 1e-2, 1e-3, 1e-5}) {
    const std::vector<Tensor> inputs{of({1, 2}, {0.3, 0.3 + gap}), random_normal({2}, 2),
                                     random_normal({2}, 3)};
    const GradcheckReport report =
        gradcheck([](Inputs in) { return Outputs{layer_norm(in[0], in[1], in[2]).y}; }, inputs);
    for (const Finding& f : report.findings) CHECK(f.verdict != Verdict::disagree);
    CHECK(verdict(report, Oracle::adjoint) == Verdict::agree);
  }
}

TEST_CASE("a gradient whose terms cancel to rounding is not called wrong, and does not pass") {
  // A softmax adds up to 1, and the value is what rounding has left of that.
  const TensorFunction f = [](Inputs in) { return Outputs{scale(sum(softmax(in[0])), 1e3, -3e3)}; };
  const std::vector<Tensor> inputs{random_normal({3, 7}, 1)};
  const GradcheckReport report = gradcheck(f, inputs);
  for (const Finding& finding : report.findings) {
    CHECK_MESSAGE(finding.verdict != Verdict::disagree, std::string(name(finding.oracle)));
  }
  CHECK_FALSE(report.passed());
  GradcheckOptions options;
  options.zero = {0};
  CHECK_MESSAGE(gradcheck(f, inputs, options).passed(), gradcheck(f, inputs, options).failures());
}

TEST_CASE("random inputs are a stream's numbers in their order") {
  Random random(3, Stream::test);
  for (const double v : random_uniform({2, 3}, 3, -1, 2).to_doubles()) {
    CHECK(v == random.uniform(-1, 2));
  }
}

TEST_CASE("other sizes are those that the function takes") {
  const auto note = [](const TensorFunction& f, const std::vector<Tensor>& inputs) {
    const GradcheckReport report = gradcheck(f, inputs);
    CHECK_MESSAGE(report.passed(), report.failures());
    const Finding* found = find(report, Oracle::sizes);
    REQUIRE(found != nullptr);
    return found->note;
  };
  SUBCASE("none") {
    const std::string said = note([](Inputs in) { return Outputs{tanh(reshape(in[0], {15}))}; },
                                  {random_normal({3, 5}, 1)});
    CHECK(contains(said, "sizes not tried: "));
    CHECK(contains(said, "15"));  // what the function says
  }
  SUBCASE("the batch alone, where something else is as large") {
    const Tensor constant = Tensor::of({3, 3}, std::vector<double>(9, 0.5), DType::f64);
    const TensorFunction f = [](Inputs in) {
      if (in[0].shape().back() != 3) fail("three channels expected");
      return Outputs{tanh(in[0])};
    };
    CHECK(contains(note(f, {random_normal({3, 3}, 1)}), "other sizes"));
  }
  SUBCASE("with indices, which stay what they count") {
    const Tensor rows = Tensor::empty({4}, DType::i32);
    for (int i = 0; i < 4; ++i) rows.data<std::int32_t>()[i] = 3 - i;
    const TensorFunction f = [](Inputs in) { return Outputs{tanh(gather(in[0], in[1]))}; };
    CHECK(contains(note(f, {random_normal({5, 3}, 1), rows}), "other sizes"));
  }
  SUBCASE("a wrong gradient names the shapes") {
    const Planted planted(Bug::large);
    const GradcheckReport report =
        gradcheck(scaled_rows, std::vector{random_normal({3, 5}, 1), random_normal({5}, 2)});
    CHECK(contains(report.failures(), "with inputs ["));
  }
}

TEST_CASE("what can't be checked is an Error with advice") {
  const std::vector<Tensor> x{random_normal({3}, 1)};
  CHECK(contains(error_of([](Inputs) { return Outputs{}; }, x), "returned no tensor"));
  CHECK(contains(error_of([](Inputs) { return Outputs{}; }, {}), "no inputs"));
  CHECK(contains(error_of([](Inputs) { return Outputs{Tensor()}; }, x), "only empty tensors"));
  CHECK(contains(error_of([](Inputs in) { return Outputs{slice(in[0], 0, 1, 1)}; }, x),
                 "only empty tensors"));
  CHECK(contains(error_of([n = 0](Inputs in) mutable { return Outputs{scale(in[0], ++n)}; }, x),
                 "depends on more than its inputs"));
  const auto in_turns = [&](double first, double second) {
    return error_of(
        [n = 0, first, second](Inputs in) mutable {
          return Outputs{scale(in[0], ++n % 2 == 1 ? first : second)};
        },
        x);
  };
  CHECK(contains(in_turns(1, -1), "depends on more than its inputs"));
  CHECK(in_turns(1, 1 + 1e-15) == "");  // as where threads add up in any order
  CHECK(contains(
      error_of([n = 0](Inputs in) mutable { return Outputs{slice(in[0], 0, 0, 1 + ++n % 2)}; }, x),
      "another shape the second time"));
  CHECK(contains(error_of(
                     [](Inputs in) {
                       fill(in[0], 1);
                       return Outputs{tanh(in[0])};
                     },
                     x),
                 "in place"));
  CHECK(contains(error_of([](Inputs in) { return Outputs{tanh(in[0])}; },
                          std::vector{Tensor::zeros({3}, DType::f32)}),
                 "DType::f64"));
  CHECK(
      contains(error_of([](Inputs in) { return Outputs{cast(in[0], DType::f32)}; }, x), "is f32"));
}

TEST_CASE("a tensor that the function brings along is no input, and the oracles say so") {
  const TensorFunction f = [c = random_normal({3}, 2)](Inputs in) {
    return Outputs{mul(in[0], c)};
  };
  const GradcheckReport report = gradcheck(f, std::vector{random_normal({3}, 1)});
  CHECK(verdict(report, Oracle::adjoint) == Verdict::skipped);
  CHECK_FALSE(report.passed());
  CHECK(contains(report.failures(), "must be an input"));
}

TEST_CASE("a gradient that is not finite is not right") {
  const GradcheckReport report =
      gradcheck([](Inputs in) { return Outputs{sqrt(in[0])}; }, std::vector{of({2}, {0, 1})});
  CHECK(verdict(report, Oracle::adjoint) == Verdict::disagree);
  CHECK(contains(report.failures(), "not finite"));
}

// Random programs: sound ones pass, and errors that are planted are found and shrunk.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "engine/arena.hpp"
#include "engine/observer.hpp"
#include "engine/tape.hpp"
#include "kernels/base/dispatch.hpp"
#include "tests/cases/fuzz.hpp"
#include "tests/cases/mutants.hpp"

using namespace posetape;

namespace {

// Changes what the rules of an op give, of tensors of one type.
class Planted : public Observer {
 public:
  using Wrong = std::function<void(const Node&, const Tensor& cotangent, int input, const Tensor& g,
                                   Into& into)>;
  Planted(Op op, Wrong wrong, DType dtype = DType::f64)
      : op_(op), wrong_(std::move(wrong)), dtype_(dtype) {}

  void before_rule(const Node& node, Backward& backward) override {
    if (node.op != op_) return;
    backward.hold();
    cotangent_ = backward.cotangent();
  }
  void gradient(const Node& node, int input, const Tensor& g, Into& into) override {
    if (node.op == op_ && g.dtype() == dtype_) wrong_(node, cotangent_, input, g, into);
  }

 private:
  Op op_;
  Wrong wrong_;
  DType dtype_;
  Tensor cotangent_;
};

// Finds it in 4000 programs, and leaves five calls at most. `spoil` plants it in what a call
// returns, or in what it was given.
FuzzFailure check_found(decltype(Program::spoil) spoil = {}) {
  FuzzOptions options;
  options.spoil = std::move(spoil);
  options.programs = 4000;
  options.most_failures = 1;
  const FuzzReport report = fuzz(options);
  REQUIRE(report.failures.size() == 1);
  CHECK_MESSAGE(report.failures[0].calls <= 5, report.failures[0].source);
  return report.failures[0];
}

FuzzFailure check_found(Op op, Planted::Wrong wrong, DType dtype = DType::f64) {
  const Planted planted(op, std::move(wrong), dtype);
  return check_found();
}

// A sum that differs where memory held NaN.
void depends_on_memory(Op op, std::span<const Tensor>, std::span<const Tensor> out) {
  if (op != Op::add || out[0].size() == 0 || out[0].dtype() != DType::f64) return;
  const Tensor never = Tensor::empty(out[0].shape(), DType::f64);
  if (std::isnan(never.data<double>()[0])) out[0].data<double>()[0] += 1;
}

bool large(const Tensor& t, Index least) {
  return t.dtype() == DType::f64 && t.size() > least;
}

}  // namespace

TEST_CASE("random programs agree with everything that is known of them") {
  FuzzOptions options;
  options.programs = 200;
  const FuzzReport report = fuzz(options);
  CHECK(report.programs == 200);
  for (const FuzzFailure& f : report.failures) FAIL_CHECK(f.note, "\n", f.source);
  for (const FuzzTally& t : report.tallies) {
    CHECK_MESSAGE(t.agreed > 0, t.check);
    CHECK_MESSAGE(t.unresolved + t.vacuous <= 20 + t.agreed / 10, t.check);
  }
}

TEST_CASE("a program is the same for its seed") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    CHECK(source(draw_program(seed)) == source(draw_program(seed)));
  }
  CHECK(source(draw_program(1)) != source(draw_program(2)));
}

TEST_CASE("every op is drawn, and loses no more than its facts say") {
  FuzzOptions options;
  options.programs = 20;
  for (int i = 0; i < kOps; ++i) {
    options.op = name(static_cast<Op>(i));
    const FuzzReport report = fuzz(options);
    CHECK_MESSAGE(report.failures.empty(), options.op);
    CHECK_MESSAGE(!report.losses.empty(), options.op);
    for (const FuzzLoss& loss : report.losses) {
      CHECK_MESSAGE(loss.passed, options.op, " input ", loss.input, " ", name(loss.dtype), ": ",
                    loss.ulp, " ULP, ", loss.known, " expected, seed ", loss.seed);
    }
  }
}

// Those of planted_bugs_test.cpp.
TEST_CASE("bugs of other libraries are found in random programs") {
  SUBCASE("a zero gradient of softmax") {
    check_found(Op::softmax, [](const Node&, const Tensor&, int, const Tensor& g, Into&) {
      std::ranges::fill(g.values<double>(), 0.0);
    });
  }
  SUBCASE("a reduction over a broadcast axis that was left out") {
    check_found(Op::mul, [](const Node& node, const Tensor& dy, int input, const Tensor& g, Into&) {
      const auto& other = node.inputs[static_cast<std::size_t>(1 - input)];
      if (g.size() == 0 || dy.size() <= g.size() || other.shape != dy.shape()) return;
      // The last rows alone.
      const auto skipped = dy.size() - g.size();
      for (Index i = 0; i < g.size(); ++i) g.data<double>()[i] = dy.data<double>()[skipped + i];
    });
  }
  SUBCASE("an Add that is ignored") {
    check_found(Op::layer_norm, [](const Node&, const Tensor&, int, const Tensor&, Into& into) {
      into = Into::write;
    });
  }
  SUBCASE("a double subtraction in the layer norm") {
    check_found(Op::layer_norm,
                [](const Node& node, const Tensor& dy, int input, const Tensor& g, Into&) {
                  if (input != 0 || !dy.defined()) return;
                  const Index width = g.shape().back();
                  for (Index r = 0; r < g.size() / std::max<Index>(1, width); ++r) {
                    double mean = 0;
                    for (Index i = 0; i < width; ++i) {
                      mean += dy.data<double>()[r * width + i] / static_cast<double>(width);
                    }
                    const double rstd = node.saved[3].data<double>()[r];
                    for (Index i = 0; i < width; ++i)
                      g.data<double>()[r * width + i] -= rstd * mean;
                  }
                });
  }
  SUBCASE("memory that is reused too early") {
    check_found([](Op op, std::span<const Tensor> in, std::span<const Tensor>) {
      const bool narrow = op != Op::mul || in[0].dtype() != DType::f64;
      if (!narrow && recording({in[0]})) std::ranges::fill(in[0].values<double>(), 0.25);
    });
  }
  SUBCASE("memory that was never written") {
    check_found(depends_on_memory);
  }
}

TEST_CASE("every kind of planted error is found in random programs") {
  for (const Choice<Mutation>& mutation : kChoices<Mutation>.list) {
    INFO(name(mutation.value));
    check_found(Op::linear,
                [&](const Node&, const Tensor&, int input, const Tensor& g, Into& into) {
                  if (input == 0) mutate(mutation.value, g, into);
                });
  }
}

TEST_CASE("wrong values are found in random programs") {
  SUBCASE("in the ninth digit") {
    check_found([](Op op, std::span<const Tensor>, std::span<const Tensor> out) {
      if (op != Op::exp || !large(out[0], 0)) return;
      for (double& v : out[0].values<double>()) v *= 1 + 1e-9;
    });
  }
  SUBCASE("from element 1000 on") {
    check_found([](Op op, std::span<const Tensor>, std::span<const Tensor> out) {
      if (op == Op::sub && large(out[0], 1000)) out[0].data<double>()[1000] *= 1 + 1e-9;
    });
  }
  SUBCASE("of one instruction set") {
    const auto least = std::ranges::find_if(
        isa_choices(), [](const IsaChoice& choice) { return choice.built && choice.there; });
    check_found([least = least->isa](Op op, std::span<const Tensor>, std::span<const Tensor> out) {
      if (op == Op::tanh && cpu_isa() == least && large(out[0], 0)) {
        out[0].data<double>()[0] += 1e-9;
      }
    });
  }
}

// fuzz_sources.py compiles them.
TEST_CASE("failures are printed as C++") {
  Arena::of(Device::cpu).trim();  // other tests leave NaN in it, which would show at once
  const auto none = [](const Node&, const Tensor&, int, const Tensor& g, Into&) { fill(g, 0); };
  const FuzzFailure failures[] = {
      check_found([](Op op, std::span<const Tensor>, std::span<const Tensor> out) {
        if (op == Op::exp && large(out[0], 0)) out[0].data<double>()[0] += 1;
      }),
      check_found(Op::linear, none),
      check_found(Op::linear, none, DType::f32),
      check_found(depends_on_memory),
  };
  const char* folder = std::getenv("POSETAPE_FUZZ_SOURCES");
  for (const FuzzFailure& f : failures) {
    CHECK(f.source.find("int main() {") != std::string::npos);
    CHECK(f.source.find(f.check) != std::string::npos);
    if (folder == nullptr) continue;
    std::string name = f.check;
    std::ranges::replace(name, ' ', '_');
    std::ofstream(std::string(folder) + "/" + name + ".cpp") << f.source;
  }
  CHECK(failures[0].check == "value");
  CHECK(failures[1].check == "adjoint");
  CHECK(failures[2].check == "gradient");
  CHECK(failures[3].check == "same bits");
}

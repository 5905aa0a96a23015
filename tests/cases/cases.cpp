#include "tests/cases/cases.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops.hpp"
#include "engine/tape.hpp"

namespace posetape {

const Facts& facts(Op op) {
  static const Facts* const kFacts[] = {
#define POSETAPE_OP(op) &op##_facts,
#include "kernels/ops.def"
  };
  return *kFacts[static_cast<int>(op)];
}

std::vector<Case> cases(Op op) {
  return facts(op).cases();
}

std::vector<bool> differentiated(const Case& c) {
  std::vector<bool> result;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const Tensor& x = c.inputs[i];
    const bool constant =
        std::ranges::find(c.options.constant, static_cast<int>(i)) != c.options.constant.end();
    result.push_back(x.defined() && x.dtype() != DType::i32 && !constant);
  }
  return result;
}

Index input_size(const Case& c) {
  Index size = 0;
  for (const Tensor& x : c.inputs) size += x.defined() ? x.size() : 0;
  return size;
}

Tensor converted(const Tensor& t, DType dtype) {
  if (!t.defined() || t.dtype() == DType::i32) return t;
  const Tensor other = Tensor::empty(t.shape(), dtype, t.device());
  copy(t, other);
  return other;
}

CaseResults results(const Case& c, std::span<const Tensor> inputs, DType rounded) {
  CaseResults all;
  Tape tape;
  const std::vector<bool> wanted = differentiated(c);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i]) tape.watch(inputs[i]);
  }
  {
    const Recording on(tape);
    all.outputs = c.f(inputs);
  }
  for (std::size_t o = 0; o < all.outputs.size(); ++o) {
    const Tensor& y = all.outputs[o];
    if (!y.defined() || !tape.tracks(y)) continue;  // a constant has no gradient
    Tape::Options options;
    options.cotangent =
        converted(converted(random_normal(y.shape(), 4000 + o), rounded), y.dtype()).to(y.device());
    const Gradients g = tape.backward(y, options);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (wanted[i]) all.gradients.emplace_back(static_cast<int>(i), g.of(inputs[i]).clone());
    }
  }
  return all;
}

GradcheckOptions zero_gradient(std::vector<int> inputs, std::string reason) {
  GradcheckOptions options;
  options.zero = std::move(inputs);
  options.reason = std::move(reason);
  return options;
}

GradcheckOptions constant_inputs(std::vector<int> inputs) {
  GradcheckOptions options;
  options.constant = std::move(inputs);
  return options;
}

GradcheckOptions steps_from(double step) {
  GradcheckOptions options;
  options.step = step;
  return options;
}

GradcheckOptions with_composite(TensorFunction composite, GradcheckOptions options) {
  options.composite = std::move(composite);
  return options;
}

TensorFunction beside_last(TensorFunction f) {
  return [f = std::move(f)](std::span<const Tensor> in) {
    std::vector<Tensor> outputs = f(in.first(in.size() - 1));
    outputs.push_back(in.back());
    return outputs;
  };
}

std::vector<Case> joined(std::vector<Case> list, const std::vector<Case>& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

void mark_cancelling(std::vector<Case>& list, std::span<const std::string> names) {
  for (const std::string& name : names) {
    const auto found = std::ranges::find(list, name, &Case::name);
    if (found == list.end()) fail("no case {} to be marked", name);
    found->cancels = true;
  }
}

Fill normal(double scale, double shift) {
  return [=](const Shape& shape, std::uint64_t seed) {
    return random_normal(shape, seed, scale, shift);
  };
}

Fill uniform(double low, double high) {
  return [=](const Shape& shape, std::uint64_t seed) {
    return random_uniform(shape, seed, low, high);
  };
}

TensorFunction elementwise(const Unary& op) {
  return [op](std::span<const Tensor> in) { return std::vector{op(in[0])}; };
}

TensorFunction elementwise(const Binary& op) {
  return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1])}; };
}

std::vector<Case> unary_cases(const Unary& op, const Fill& x, const Unary& composite, double step) {
  const auto fan_out = [](const Unary& g) {
    return [g](std::span<const Tensor> in) {
      const Tensor y = g(in[0]);
      return std::vector{mul(y, y), add(g(in[0]), in[0])};
    };
  };
  const auto two_calls = [](const Unary& g) {
    return [g](std::span<const Tensor> in) { return std::vector{g(in[0]), g(in[0])}; };
  };
  const auto options_of = [&](const auto& make) {
    return composite ? with_composite(make(composite), steps_from(step)) : steps_from(step);
  };
  const auto once = [](const Unary& g) { return elementwise(g); };
  std::vector<Case> list = {
      {"fan_out", {x({5}, 6)}, fan_out(op), options_of(fan_out)},
      {"two_calls", {x({2, 3}, 7)}, two_calls(op), options_of(two_calls)},
      {"empty", {x({0, 3}, 8), x({2}, 9)}, beside_last(once(op))},
  };
  const auto put = [&](const char* name, const Shape& shape, std::uint64_t seed) {
    list.push_back({name, {x(shape, seed)}, once(op), options_of(once)});
  };
  put("scalar", {}, 1);
  put("one_element", {1}, 10);
  put("rank1_17", {17}, 2);
  put("rank2_33", {2, 33}, 3);
  put("rank3_15", {2, 2, 15}, 11);
  put("rank4", {2, 3, 1, 5}, 4);
  put("rank5_16", {1, 2, 1, 2, 16}, 12);
  put("rank6", {2, 1, 2, 1, 2, 3}, 13);
  put("tail_31", {31}, 14);
  put("tail_63", {63}, 15);
  put("tail_65", {65}, 16);
  // Work is cut into blocks of 4096 elements.
  put("block_less_one", {4095}, 17);
  put("block", {4096}, 18);
  put("block_and_one", {4097}, 19);
  put("many", {40000}, 5);
  return list;
}

std::vector<Case> binary_cases(const Binary& op, const Fill& a, const Fill& b,
                               const Binary& composite, double step) {
  std::vector<Case> list;
  const auto put = [&](const char* name, const Shape& of_a, const Shape& of_b, std::uint64_t seed,
                       GradcheckOptions options = {}) {
    if (composite && options.zero.empty()) options.composite = elementwise(composite);
    options.step = step;
    list.push_back({name, {a(of_a, seed), b(of_b, seed + 1)}, elementwise(op), options});
  };
  put("scalars", {}, {}, 10);
  put("one_element", {1}, {1, 1}, 12);
  put("rank1_17", {17}, {17}, 14);
  put("rank3_65", {1, 2, 65}, {1, 2, 65}, 60);
  put("rank4", {2, 3, 2, 5}, {2, 3, 2, 5}, 16);
  put("in_training", {2, 5, 17, 16}, {2, 5, 17, 16}, 66);
  put("rank5_15", {1, 2, 1, 2, 15}, {1, 2, 1, 2, 15}, 62);
  put("rank6", {2, 1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 3}, 64);
  put("tail_33", {3, 33}, {3, 33}, 18);
  put("bias", {2, 3, 5}, {5}, 20);
  put("bias_first", {15}, {4, 15}, 22);
  put("suffix", {2, 3, 4}, {3, 4}, 24);
  put("scalar_second", {3, 5}, {}, 26);
  put("scalar_first", {1}, {3, 5}, 28);
  put("inner", {3, 5}, {3, 1}, 30);
  put("inner_first", {2, 1, 1}, {2, 3, 4}, 32);
  put("middle", {2, 3, 4}, {2, 1, 4}, 34);
  put("middle_rank5", {2, 1, 3, 1, 2}, {2, 1, 1, 1, 2}, 66);
  put("outer_product", {4, 1}, {1, 5}, 36);
  put("alternating", {2, 1, 3, 1}, {1, 4, 1, 5}, 38);
  put("alternating_rank6", {2, 1, 2, 1, 3, 1}, {1, 2, 1, 2, 1, 2}, 68);
  put("outer_and_inner", {3, 2, 4}, {1, 2, 1}, 40);
  put("bias_many_rows", {3000, 5}, {5}, 42);
  put("scalar_of_many", {30000}, {1}, 44);
  put("few_of_many", {3, 20000}, {3, 1}, 46);
  put("wide", {3, 9001}, {9001}, 48);
  // A sum over rows is cut every 128 of them.
  put("rows_127", {127, 3}, {3}, 70);
  put("rows_128", {128, 3}, {3}, 72);
  put("rows_129_first", {3}, {129, 3}, 74);
  // One along the last axis, every 256 elements; and 128 of those make a chunk.
  put("stretch_255", {2, 255}, {2, 1}, 76);
  put("stretch_256", {2, 256}, {2, 1}, 78);
  put("stretch_257_first", {2, 1}, {2, 257}, 80);
  put("chunk_and_one", {3, 32769}, {3, 1}, 82);
  // What is kept along the last axis, every 4096.
  put("block_4097", {2, 4097}, {4097}, 84);
  put("empty_rows", {0, 3}, {3}, 50, zero_gradient({1}, kEmptyResult));
  put("empty_columns", {3, 1}, {3, 0}, 52, zero_gradient({0}, kEmptyResult));
  put("a_constant", {2, 3}, {3}, 86, constant_inputs({0}));
  put("b_constant", {2, 3}, {3}, 88, constant_inputs({1}));
  put("repeated_a_constant", {3}, {2, 3}, 90, constant_inputs({0}));
  put("repeated_b_constant", {2, 3}, {1, 3}, 92, constant_inputs({1}));
  list.push_back({"empty", {a({0}, 94), b({0}, 95), a({2}, 96)}, beside_last(elementwise(op))});

  const auto fan_out = [](const Binary& g) {
    return [g](std::span<const Tensor> in) {
      const Tensor once = g(in[0], in[1]);
      return std::vector{g(once, in[1]), g(once, once)};
    };
  };
  const auto two_calls = [](const Binary& g) {
    return [g](std::span<const Tensor> in) {
      return std::vector{g(in[0], in[1]), g(in[0], in[2])};
    };
  };
  const auto options_of = [&](const auto& make) {
    return composite ? with_composite(make(composite), steps_from(step)) : steps_from(step);
  };
  list.push_back({"fan_out",
                  {random_uniform({4}, 121, 1.0, 3.0), random_uniform({2, 4}, 122, 1.0, 3.0)},
                  fan_out(op),
                  options_of(fan_out),
                  /*cancels=*/true});  // x - x, x / x
  list.push_back({"two_calls",
                  {a({2, 3}, 97), b({3}, 98), b({2, 3}, 99)},
                  two_calls(op),
                  options_of(two_calls)});
  return list;
}

Numbers numbers_of(const Tensor& t) {
  if (!t.defined()) return {};
  const std::vector<double> values = t.to_doubles();
  return Numbers(values.begin(), values.end());
}

void each_index(const Shape& shape,
                const std::function<void(const std::vector<Index>&, std::size_t)>& f) {
  std::vector<Index> index(static_cast<std::size_t>(shape.rank()), 0);
  for (Index n = 0; n < shape.size(); ++n) {
    Index rest = n;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      index[static_cast<std::size_t>(i)] = rest % shape[i];
      rest /= shape[i];
    }
    f(index, static_cast<std::size_t>(n));
  }
}

std::size_t place_in(const Shape& operand, const std::vector<Index>& index) {
  Index at = 0;
  for (int i = 0; i < operand.rank(); ++i) {
    const Index k = index[index.size() - static_cast<std::size_t>(operand.rank() - i)];
    at = at * operand[i] + (operand[i] == 1 ? 0 : k);
  }
  return static_cast<std::size_t>(at);
}

long double logistic(long double x) {
  return 1 / (1 + std::exp(-x));
}

long double normal_cdf(long double x) {
  return 0.5L * std::erfc(-x / std::sqrt(2.0L));
}

Tensor of_shape(const Shape& shape, const Tensor& t) {
  if (t.shape() != shape) fail("shape {}, {} expected", t.shape().text(), shape.text());
  return t;
}

Tensor with_nan(const Tensor& t, Index at) {
  Tensor copied = t.clone();
  copied.data<double>()[at] = std::numeric_limits<double>::quiet_NaN();
  return copied;
}

void check_unary(const CheckValues& check, const Unary& op, long double (*reference)(long double),
                 const Fill& fill) {
  const auto f = [&](std::span<const Tensor> in) { return op(in[0]); };
  const auto plain = [&](const std::vector<Numbers>& in) {
    Numbers y;
    for (const long double x : in[0]) y.push_back(reference(x));
    return y;
  };
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{0}, Shape{3, 0}, Shape{17}, Shape{3, 33}, Shape{5, 4001}}) {
    const Tensor x = fill(shape, 1);
    check(shape.text(), {x}, f, plain);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2)}, f, plain);
  }
}

void check_binary(const CheckValues& check, const Binary& op,
                  long double (*reference)(long double, long double)) {
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},
      {{1}, {}},
      {{0}, {1}},
      {{0, 3}, {3}},
      {{3, 1}, {3, 0}},
      {{17}, {17}},
      {{3, 33}, {33}},
      {{33}, {2, 3, 33}},
      {{4, 5}, {}},
      {{1, 1}, {4, 5}},
      {{4, 5}, {4, 1}},
      {{2, 3, 4}, {2, 1, 4}},
      {{4, 1}, {1, 5}},
      {{2, 1, 3, 1}, {4, 1, 5}},
      {{2, 3, 4}, {1, 3, 1}},
      {{3, 5000}, {5000}},
      {{2, 2, 2, 2, 2, 3}, {2, 1, 2, 1, 3}},
  };
  for (const auto& [shape_a, shape_b] : shapes) {
    const Shape result = broadcast("test", shape_a, shape_b);
    const Tensor a = random_normal(shape_a, 1);
    const Tensor b = random_uniform(shape_b, 2, 0.5, 2);
    const auto f = [&](std::span<const Tensor> in) { return of_shape(result, op(in[0], in[1])); };
    const auto plain = [&, &from_a = shape_a, &from_b = shape_b](const std::vector<Numbers>& in) {
      Numbers y(static_cast<std::size_t>(result.size()));
      each_index(result, [&](const std::vector<Index>& i, std::size_t n) {
        y[n] = reference(in[0][place_in(from_a, i)], in[1][place_in(from_b, i)]);
      });
      return y;
    };
    const std::string label = shape_a.text() + shape_b.text();
    check(label, {a, b}, f, plain);
    if (a.size() > 0) check(label, {with_nan(a, a.size() - 1), b}, f, plain);
    if (b.size() > 0) check(label, {a, with_nan(b, 0)}, f, plain);
  }
}

void check_loss(const CheckValues& check, const Shape& shape, const Binary& op,
                const Reference& reference) {
  const std::vector<Tensor> inputs{random_normal(shape, 1), random_normal(shape, 2)};
  const auto f = [&](std::span<const Tensor> in) { return op(in[0], in[1]); };
  check(shape.text(), inputs, f, reference);
  if (shape.size() == 0) return;
  check("nan", {with_nan(inputs[0], shape.size() - 1), inputs[1]}, f, reference);
}

const std::vector<std::pair<Shape, Shape>>& repetitions() {
  static const std::vector<std::pair<Shape, Shape>> all{
      {{}, {}},
      {{}, {17}},
      {{5}, {3, 5}},
      {{3, 1}, {3, 33}},
      {{1}, {0}},
      {{3, 1}, {3, 0}},
      {{2, 1, 3}, {2, 4, 3}},
      {{2, 1, 3, 1}, {2, 4, 3, 5}},
      {{1, 3, 1}, {4, 3, 500}},
      {{1, 2}, {4000, 2}},
  };
  return all;
}

const std::vector<std::pair<std::vector<Shape>, int>>& joined_parts() {
  static const std::vector<std::pair<std::vector<Shape>, int>> all{
      {{{3}, {17}}, 0},
      {{{0}, {2}}, 0},
      {{{2, 3}}, 1},
      {{{0, 3}, {0, 2}}, 1},
      {{{2, 3}, {1, 3}}, 0},
      {{{3, 2}, {3, 0}, {3, 33}}, 1},
      {{{2, 3, 4}, {2, 1, 4}}, 1},
      {{{2, 5000}, {2, 4097}}, -1},
  };
  return all;
}

Tensor zeros(const Shape& shape) {
  return Tensor::zeros(shape, DType::f32);
}

Tensor indices(const Shape& shape) {
  return Tensor::zeros(shape, DType::i32);
}

Tensor indices(const Shape& shape, Index extent) {
  const Tensor t = Tensor::empty(shape, DType::i32);
  std::int32_t i = 0;
  for (std::int32_t& v : t.values<std::int32_t>()) {
    v = static_cast<std::int32_t>((i * 7 + i / 5) % extent);
    ++i;
  }
  return t;
}

std::vector<ModelCall> unary_calls(const Unary& op) {
  return {{"", [] { return std::vector{random_uniform(kTokens, 1, 0.5, 2)}; }, elementwise(op)}};
}

std::vector<ModelCall> binary_calls(const Binary& op) {
  const auto with = [](const Shape& b) {
    return [b] {
      return std::vector{random_uniform(kTokens, 1, 0.5, 2), random_uniform(b, 2, 0.5, 2)};
    };
  };
  return {{"", with(kTokens), elementwise(op)}, {"broadcast", with({kWidth}), elementwise(op)}};
}

std::vector<ModelCall> loss_calls(const Binary& op) {
  return {{"",
           [] {
             return std::vector{random_normal(kPoses, 1), random_normal(kPoses, 2)};
           },
           elementwise(op)}};
}

}  // namespace posetape

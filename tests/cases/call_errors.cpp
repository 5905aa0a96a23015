#include "tests/cases/call_errors.hpp"

#include <algorithm>
#include <cmath>

#include "engine/oracles.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/precision.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

constexpr int kNudges = 8;
constexpr double kRoundings = 4;

std::vector<Numbers> numbers_of_all(std::span<const Tensor> tensors) {
  std::vector<Numbers> all;
  for (const Tensor& t : tensors) all.push_back(numbers_of(t));
  return all;
}

// Half a unit in the last place of a number near 1.
double last_digit(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f32 ? 0x1p-24 : 0x1p-53;
}

// Operands that differ by so much, to one side or the other.
Tensors nudged(std::span<const Tensor> tensors, DType dtype, int number) {
  const double digit = last_digit(dtype);
  Random random(static_cast<std::uint64_t>(number), Stream::test, 77);
  Tensors all;
  for (const Tensor& t : tensors) {
    if (!floating(t)) {
      all.push_back(t);
      continue;
    }
    std::vector<double> values = t.to_doubles();
    for (double& v : values) v *= 1 + (random.below(2) == 0 ? digit : -digit);
    all.push_back(Tensor::of(t.shape(), values, DType::f64));
  }
  return all;
}

// The largest |element|.
double largest(const Tensors& tensors) {
  double most = 0;
  for (const Tensor& t : tensors) {
    if (!floating(t)) continue;
    for (const double v : t.to_doubles()) most = std::max(most, std::fabs(v));
  }
  return most;
}

// `compute(number)` is `expected` from nudged operands; `magnitude` that of what goes in.
template <class Compute>
CallError error_of(const Step& call, int result, int operand, const Tensor& got,
                   const Numbers& expected, DType dtype, Device device, double magnitude,
                   const Compute& compute) {
  CallError e;
  e.result = result;
  e.operand = operand;
  e.known = drawn_ulp(call.op, operand, dtype);
  UlpError worst = ulp_error(got, expected);
  if (worst.ulp > e.known && worst.element >= 0) {
    Numbers moves(expected.size(), 0.0L);
    for (int n = 0; n < kNudges; ++n) {
      const Numbers other = compute(n);
      for (std::size_t k = 0; k < moves.size(); ++k) {
        moves[k] = std::max(moves[k], std::fabs(other[k] - expected[k]));
      }
    }
    worst = ulp_error(got, expected, moves);
  }
  e.ulp = worst.ulp;
  if (worst.element < 0) return e;
  e.passed = e.ulp <= allowed_ulp(e.known, device);
  e.element = worst.element;
  e.got = got.to_doubles()[static_cast<std::size_t>(e.element)];
  e.expected = static_cast<double>(expected[static_cast<std::size_t>(e.element)]);
  e.below_operands = std::fabs(e.got - e.expected) <= kRoundings * last_digit(dtype) * magnitude;
  return e;
}

}  // namespace

Tensors moved(std::span<const Tensor> tensors, DType dtype, Device device) {
  Tensors all;
  for (const Tensor& t : tensors) all.push_back(converted(t, dtype).to(device));
  return all;
}

std::vector<CallError> value_errors(const Program& p, const Step& call, DType dtype,
                                    Device device) {
  const NoRecording off;
  const Tensors operands = moved(Program::operands(call, p.values), dtype, device);
  const Tensors got = call.call.f(operands);
  if (p.spoil) p.spoil(call.op, operands, got);
  const Tensors here = moved(operands, dtype, Device::cpu);
  std::vector<CallError> errors;
  for (int k = 0; k < call.count; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const Reference& reference = call.call.references[at];
    const auto nudge = [&](int n) { return reference(numbers_of_all(nudged(here, dtype, n))); };
    errors.push_back(error_of(call, k, -1, got[at], reference(numbers_of_all(here)), dtype, device,
                              largest(here), nudge));
  }
  return errors;
}

namespace {

// For each result the gradients of <cotangent, result> by the operands, in the cotangent's type.
struct Gradient {
  int result;
  int operand;
  Tensor value;
};

std::vector<Gradient> gradients(const Step& call, const Tensors& operands,
                                const Tensors& cotangents) {
  Tape tape;
  for (const Tensor& t : operands) {
    if (floating(t)) tape.watch(t);
  }
  Tensors results;
  {
    const Recording on(tape);
    results = call.call.f(operands);
  }
  std::vector<Gradient> all;
  for (std::size_t r = 0; r < results.size(); ++r) {
    if (!tape.tracks(results[r])) continue;
    Tape::Options options;
    options.cotangent = converted(cotangents[r], results[r].dtype()).to(results[r].device());
    const Gradients g = tape.backward(results[r], options);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (!floating(operands[i])) continue;
      all.push_back({static_cast<int>(r), static_cast<int>(i), g.of(operands[i]).clone()});
    }
  }
  return all;
}

}  // namespace

std::vector<CallError> gradient_errors(const Program& p, const Step& call, DType dtype,
                                       Device device) {
  const Tensors narrow = moved(Program::operands(call, p.values), dtype, device);
  const Tensors wide = moved(moved(narrow, dtype, Device::cpu), DType::f64, Device::cpu);
  Tensors cotangents;
  for (int r = 0; r < call.count; ++r) {
    const Shape& shape = p.values[static_cast<std::size_t>(call.first + r)].shape();
    const Tensor drawn = random_normal(shape, 4000 + static_cast<std::uint64_t>(r));
    cotangents.push_back(converted(converted(drawn, dtype), DType::f64));
  }
  const std::vector<Gradient> got = gradients(call, narrow, cotangents);
  const std::vector<Gradient> expected = gradients(call, wide, cotangents);
  std::vector<CallError> errors;
  for (std::size_t g = 0; g < got.size(); ++g) {
    const auto nudge = [&](int n) {
      const Tensors nearly = nudged(cotangents, dtype, n + kNudges);
      return numbers_of(gradients(call, nudged(wide, dtype, n), nearly)[g].value);
    };
    errors.push_back(error_of(call, got[g].result, got[g].operand, got[g].value,
                              numbers_of(expected[g].value), dtype, device,
                              largest(wide) * largest(cotangents), nudge));
  }
  return errors;
}

}  // namespace posetape

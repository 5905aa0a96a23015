#include "tests/cases/precision.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/base/dispatch.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

using Tensors = std::vector<Tensor>;

// Compilers round differently, by less than this.
constexpr double kFactor = 1.5;
constexpr double kSlack = 0.5;
// So much more where another device adds up in another order.
constexpr double kDeviceFactor = 3;
constexpr double kDeviceSlack = 2;
// A figure that is this many times too large hides the next change.
constexpr double kTooLarge = 16;
// Kernels may return 0 below the smallest normal number, 2^-126 (kernels/base/math.hpp), so a
// product with such a factor has no digits up to some 100 times that.
constexpr double kSmallest = 0x1p-119;

double ulp(DType dtype, double x) {
  const int digits = dtype == DType::bf16 ? 8 : dtype == DType::f32 ? 24 : 53;
  const int least = dtype == DType::bf16 ? -133 : dtype == DType::f32 ? -149 : -1074;
  return std::ldexp(1.0, std::max(std::ilogb(x) - digits + 1, least));
}

class Ladder {
 public:
  void add(const Case& c, DType dtype, Device device) {
    Tensors narrow;
    Tensors wide;
    for (const Tensor& t : c.inputs) {
      narrow.push_back(converted(t, dtype).to(device));
      wide.push_back(converted(narrow.back().to(Device::cpu), DType::f64));
    }
    const CaseResults got = results(c, narrow, dtype);
    const CaseResults expected = results(c, wide, dtype);
    for (std::size_t o = 0; o < got.outputs.size(); ++o) {
      if (got.outputs[o].defined()) compare(c, -1, dtype, got.outputs[o], expected.outputs[o]);
    }
    for (std::size_t g = 0; g < got.gradients.size(); ++g) {
      compare(c, got.gradients[g].first, dtype, got.gradients[g].second,
              expected.gradients[g].second);
    }
  }

  std::vector<Loss> losses() const {
    std::vector<Loss> all;
    for (const auto& [key, loss] : worst_) all.push_back(loss);
    return all;
  }

 private:
  void compare(const Case& c, int input, DType dtype, const Tensor& got, const Tensor& expected) {
    Loss& worst =
        worst_.try_emplace({input, dtype}, Loss{input, dtype, 0, c.name, ""}).first->second;
    const UlpError error = ulp_error(got, numbers_of(expected));
    if (error.ulp <= worst.ulp) return;
    worst = {input, dtype, error.ulp, c.name, fmt::format("element {}", error.element)};
  }

  std::map<std::pair<int, DType>, Loss> worst_;
};

}  // namespace

UlpError ulp_error(const Tensor& got, const Numbers& expected, const Numbers& least) {
  const std::vector<double> g = got.to_doubles();
  long double squares = 0;
  for (const long double x : expected) squares += x * x;
  const auto count = static_cast<long double>(std::max<std::size_t>(1, expected.size()));
  const auto rms = static_cast<double>(std::sqrt(squares / count));
  UlpError worst;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const auto e = static_cast<double>(expected[k]);
    const double unit = std::max(std::fabs(e), rms);
    if (!std::isfinite(e) || g[k] == e || unit < kSmallest) continue;
    const long double digit = ulp(got.dtype(), unit);
    auto error = static_cast<double>(std::fabs(g[k] - expected[k]) /
                                     (least.empty() ? digit : std::max(digit, least[k])));
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    if (error > worst.ulp) worst = {error, static_cast<Index>(k)};
  }
  return worst;
}

double allowed_ulp(double known, Device device) {
  const bool cpu = device == Device::cpu;
  return (cpu ? kFactor : kDeviceFactor) * known + (cpu ? kSlack : kDeviceSlack);
}

std::vector<Loss> measure_precision(const std::vector<Case>& all, Device device) {
  Ladder ladder;
  for (const Case& c : all) {
    for (const DType dtype : {DType::f32, DType::bf16}) ladder.add(c, dtype, device);
  }
  return ladder.losses();
}

double expected_ulp(Op op, int input, DType dtype, Device device) {
  const bool products = device != Device::cpu || uses_tile_model() || cpu_isa() >= Isa::avx512_bf16;
  for (const Ulp& known : facts(op).ulp) {
    if (known.input != input) continue;
    if (dtype != DType::bf16) return known.f32;
    return products ? known.products : known.bf16;
  }
  return -1;
}

double drawn_ulp(Op op, int input, DType dtype) {
  for (const DrawnUlp& known : facts(op).drawn) {
    if (known.input != input) continue;
    if (dtype != DType::bf16) return dtype == DType::f64 ? known.f64 : known.f32;
    // On tiles more is rounded.
    return std::max(known.bf16, expected_ulp(op, input, dtype));
  }
  return -1;
}

std::vector<SuiteRow> check_precision(Op op, const std::vector<Case>& all, bool all_cases,
                                      Device device) {
  std::vector<SuiteRow> rows;
  const bool on_cpu = device == Device::cpu;
  for (const Loss& loss : measure_precision(all, device)) {
    const double expected = expected_ulp(op, loss.input, loss.dtype, device);
    const bool worse = loss.ulp > allowed_ulp(expected, device);
    const bool better = on_cpu && all_cases && kTooLarge * (loss.ulp + kSlack) < expected;
    SuiteRow row;
    row.op = name(op);
    row.case_name = loss.case_name;
    row.input = loss.input;
    row.check = "ulp";
    row.dtype = name(loss.dtype);
    row.device = name(device);
    row.error = loss.ulp;
    row.where = loss.where;
    row.verdict = worse || better ? Verdict::disagree : Verdict::agree;
    row.passed = row.verdict == Verdict::agree;
    if (!row.passed) {
      row.note = expected < 0 ? fmt::format("{:.1f} ULP, and tests/cases/{}.cpp has no figure",
                                            loss.ulp, name(op))
                              : fmt::format("{:.1f} ULP, {:.1f} expected by tests/cases/{}.cpp",
                                            loss.ulp, expected, name(op));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string precision_lines(const std::vector<SuiteRow>& rows) {
  std::map<std::string, std::map<int, std::array<double, 2>>> figures;
  for (const SuiteRow& row : rows) {
    if (row.check == "ulp") figures[row.op][row.input][row.dtype == "bf16"] = row.error;
  }
  std::string text;
  for (const auto& [op, inputs] : figures) {
    std::string list;
    for (const auto& [input, ulp] : inputs) {
      list +=
          fmt::format("{}{{{}, {:.1f}, {:.1f}}}", list.empty() ? "" : ", ", input, ulp[0], ulp[1]);
    }
    text += fmt::format("{}.cpp:     .ulp = {{{}}},\n", op, list);
  }
  return text;
}

}  // namespace posetape

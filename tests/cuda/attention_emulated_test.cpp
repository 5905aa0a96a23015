// Attention on tensor cores beside the plain kernel, which a GPU without them gets.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "engine/arena.hpp"
#include "engine/ops.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/emulation/architecture.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

// For its scope the device is another GPU.
class Gpu {
 public:
  explicit Gpu(int architecture) { restart(architecture); }
  ~Gpu() { restart(80); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

 private:
  static void restart(int architecture) {
    Arena::of(Device::cuda).trim();
    cuda::close();
    emulation::set_architecture(architecture);
  }
};

// The output and the gradient of qkv, in bf16.
std::vector<double> attention(int architecture, const Shape& shape, Axis axis, Index heads) {
  const Gpu gpu(architecture);
  const std::vector<Tensor> inputs = {
      converted(random_normal(shape, 1), DType::bf16).to(Device::cuda)};
  const Case c{"", inputs, [=](std::span<const Tensor> in) {
                 return std::vector{axial_attention(in[0], axis, heads)};
               }};
  const CaseResults got = results(c, inputs, DType::bf16);
  std::vector<double> all = got.outputs[0].to_doubles();
  const std::vector<double> gradient = got.gradients[0].second.to_doubles();
  all.insert(all.end(), gradient.begin(), gradient.end());
  return all;
}

// Relative to the root mean square.
double difference(const std::vector<double>& got, const std::vector<double>& expected) {
  double worst = 0, squares = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(got[i] - expected[i]);
    worst = std::isnan(d) ? HUGE_VAL : std::max(worst, d);
    squares += expected[i] * expected[i];
  }
  return worst / std::sqrt(squares / static_cast<double>(got.size()));
}

}  // namespace

TEST_CASE("cuda: attention on tensor cores and off them agree") {
  struct Call {
    Shape shape;
    Axis axis;
    Index heads;
    bool tensor_cores;
  };
  const Call calls[] = {
      {{1, 8, 17, 96}, Axis::space, 2, true},  {{1, 60, 2, 96}, Axis::time, 1, true},
      {{1, 130, 1, 192}, Axis::time, 1, true}, {{2, 5, 17, 48}, Axis::space, 2, false},
      {{1, 4, 9, 144}, Axis::time, 1, false},
  };
  for (const Call& call : calls) {
    CAPTURE(call.shape.text());
    const std::vector<double> plain = attention(75, call.shape, call.axis, call.heads);
    const std::vector<double> got = attention(80, call.shape, call.axis, call.heads);
    CHECK(attention(120, call.shape, call.axis, call.heads) == got);
    CHECK(difference(got, plain) < 0.05);
    CHECK((got != plain) == call.tensor_cores);
  }
}

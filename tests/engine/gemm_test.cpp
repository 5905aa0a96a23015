// Matrix products at sizes where the CPU's blocks, tiles and pairs end: small whole numbers, whose
// products and sums every type holds exactly, so that results are equal to the last bit.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/tape.hpp"

using namespace posetape;

namespace {

// Numbers in [-2, 2] without a pattern along either axis.
Tensor whole_numbers(const Shape& shape, DType dtype, std::uint32_t seed) {
  std::vector<double> values(static_cast<std::size_t>(shape.size()));
  for (double& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>((seed >> 16) % 5u) - 2;
  }
  return Tensor::of(shape, std::span<const double>(values), dtype);
}

std::vector<double> values_of(const Tensor& tensor) {
  Tensor out = Tensor::empty(tensor.shape(), DType::f64);
  copy(tensor, out);
  const auto values = out.values<double>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("products are exact at every edge of blocks, tiles and pairs") {
  struct Size {
    Index m, n, k;
  };
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const auto [m, n, k] : {Size{1, 1, 1}, Size{13, 33, 7}, Size{12, 32, 16}, Size{25, 65, 31},
                                 Size{100, 17, 513}, Size{30, 40, 1025}, Size{5, 34, 2049},
                                 Size{24, 64, 1024}, Size{260, 520, 40}, Size{520, 260, 40}}) {
      for (const bool transpose_a : {false, true}) {
        for (const bool transpose_b : {false, true}) {
          const std::string where = std::string(name(dtype)) + " " + std::to_string(m) + " x " +
                                    std::to_string(n) + " x " + std::to_string(k) +
                                    (transpose_a ? " a^T" : "") + (transpose_b ? " b^T" : "");
          INFO(where);
          const Tensor a = whole_numbers(transpose_a ? Shape{k, m} : Shape{m, k}, dtype, 1);
          const Tensor b = whole_numbers(transpose_b ? Shape{n, k} : Shape{k, n}, dtype, 2);
          const Tensor c = matmul(a, b, {transpose_a, transpose_b});
          const std::vector<double> x = values_of(a);
          const std::vector<double> y = values_of(b);
          Tensor expected = Tensor::empty({m, n}, DType::f64);
          for (Index i = 0; i < m; ++i) {
            for (Index j = 0; j < n; ++j) {
              double sum = 0;
              for (Index l = 0; l < k; ++l) {
                sum += x[static_cast<std::size_t>(transpose_a ? l * m + i : i * k + l)] *
                       y[static_cast<std::size_t>(transpose_b ? j * k + l : l * n + j)];
              }
              expected.values<double>()[static_cast<std::size_t>(i * n + j)] = sum;
            }
          }
          // Sums beyond 256 have no place in bf16: they are rounded once.
          Tensor rounded = Tensor::empty({m, n}, dtype);
          copy(expected, rounded);
          CHECK(values_of(c) == values_of(rounded));
        }
      }
    }
  }
}

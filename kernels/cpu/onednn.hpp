// Products of bf16 matrices by oneDNN, which has code for the tiles of processors with AMX: an
// optional library (meson option `onednn`). gemm() takes it on such processors, where a product is
// large enough; elsewhere its own code is as fast.
#pragma once

#include <compare>

#include "kernels/base/scalar.hpp"

namespace posetape::onednn {

// The least m n k of a product that oneDNN computes on this processor. The environment variable
// POSETAPE_ONEDNN says 1 for every product (tests), or 0 for none.
Index least_work();

// `rows` rows of C = A B, A with k columns and B with n, and how many elements apart their rows and
// columns are; of the two steps of a matrix, one is 1.
struct Shape {
  Index rows, n, k;
  Index a_row_step, a_column_step;
  Index b_row_step, b_column_step;

  auto operator<=>(const Shape&) const = default;
};

// What computes products of one shape. It may be used on several threads at a time, and uses none
// but the calling one: results depend on the shape alone.
struct Product;

// Made at the first call, then kept. Throws std::exception where oneDNN fails.
const Product& product(const Shape& shape);

Index packed_bytes(const Product& p);   // of B, packed
Index scratch_bytes(const Product& p);  // that pack() and multiply() each work in
void pack(const Product& p, const bf16* b, void* packed, void* scratch);
void multiply(const Product& p, const bf16* a, const void* packed, float* sums, void* scratch);

}  // namespace posetape::onednn

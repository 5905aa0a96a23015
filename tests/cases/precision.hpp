// The precision ladder: what an op's values and gradients lose in f32 and bf16, against f64 on the
// same (rounded) inputs.
#pragma once

#include <string>
#include <vector>

#include "engine/op.hpp"
#include "tests/cases/draw.hpp"
#include "tests/cases/suite.hpp"

namespace posetape {

// The worst error of a result, in ULP of its type at the larger of the value and the root mean
// square of its tensor; infinite where a number is not finite that should be. An element's unit is
// no smaller than its entry of `least` where that is given.
struct UlpError {
  double ulp = 0;
  Index element = -1;  // none: every number is exact
};
UlpError ulp_error(const Tensor& got, const Numbers& expected, const Numbers& least = {});

// Compilers round differently, and devices add up in another order: what passes beside a figure.
double allowed_ulp(double known, Device device);

// The worst error of one quantity of an op over its cases, in ULP of `dtype` at the larger of the
// value and the root mean square of its tensor: a single value that cancels to almost nothing has
// no digits in any type, and says nothing of the kernel.
struct Loss {
  int input = -1;  // the gradient of this input; -1: the values
  DType dtype{};
  double ulp = 0;
  std::string case_name;  // where it is worst
  std::string where;      // "element 17"
};

// On the CPU, or with kernels of another device.
std::vector<Loss> measure_precision(const std::vector<Case>& cases, Device device = Device::cpu);

// The figure that the op's facts commit for it, of the kernels in use; negative where they have
// none.
double expected_ulp(Op op, int input, DType dtype, Device device = Device::cpu);
// That for random calls (Facts::drawn).
double drawn_ulp(Op op, int input, DType dtype);

// As rows with check "ulp": one for each quantity and type. Disagrees where the error is clearly
// above the committed figure, or so far below it that the figure should be mended; on another
// device, which adds up in another order, where it is above three times the figure.
std::vector<SuiteRow> check_precision(Op op, const std::vector<Case>& cases, bool all_cases,
                                      Device device = Device::cpu);

// The `.ulp` of each op for these rows, to be pasted into tests/cases/<op>.cpp.
std::string precision_lines(const std::vector<SuiteRow>& rows);

}  // namespace posetape

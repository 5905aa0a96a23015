// Checks that are the same for every network.
#pragma once

#include <doctest/doctest.h>

#include <functional>

#include "engine/gradcheck.hpp"
#include "engine/parameters.hpp"
#include "engine/ridders.hpp"
#include "engine/tape.hpp"
#include "kernels/cpu/parallel.hpp"

namespace posetape::test {

// The gradient of `loss` with respect to all parameters at once, along random directions, against
// Ridders' differences: relative error below `tolerance`.
inline void check_parameter_gradient(const ParameterList& list, const std::function<Tensor()>& loss,
                                     double tolerance) {
  Tape tape;
  list.watch(tape);
  Tensor value;
  {
    Recording on(tape);
    value = loss();
  }
  Tape::Options options;
  options.destinations = list.destinations();
  tape.backward(value, options);
  const Tensor gradient = list.gradients().clone();
  const Tensor start = list.values().clone();

  for (int d = 0; d < 6; ++d) {
    const Tensor direction = random_normal(start.shape(), 100 + static_cast<std::uint64_t>(d));
    double analytic = 0;
    double norm = 0;
    for (Index i = 0; i < start.size(); ++i) {
      analytic += gradient.data<double>()[i] * direction.data<double>()[i];
      norm += gradient.data<double>()[i] * gradient.data<double>()[i];
    }
    // The gaps between parameters move too and change nothing.
    const Derivative numeric = ridders(
        [&](double h) {
          const Tensor moved = start.clone();
          for (Index i = 0; i < start.size(); ++i) {
            moved.data<double>()[i] += h * direction.data<double>()[i];
          }
          copy(moved, list.values());
          return loss().item();
        },
        1e-3);
    // Relative to the gradient's length: a single direction's derivative may be small by chance.
    CHECK(std::fabs(analytic - numeric.value) <= tolerance * std::sqrt(norm));
    CHECK(norm > 0);
  }
  copy(start, list.values());
}

// The same bits for 1, 2 and 3 threads.
inline void check_thread_independence(const std::function<std::vector<double>()>& f) {
  const int before = threads();
  set_threads(1);
  const std::vector<double> one = f();
  for (const int count : {2, 3}) {
    set_threads(count);
    CHECK(f() == one);
  }
  set_threads(before);
}

}  // namespace posetape::test

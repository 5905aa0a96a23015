// One step of stochastic gradient descent with momentum (Polyak 1964) over one flat block of
// parameters, as Sutskever, Martens, Dahl and Hinton (ICML 2013) have it but for the rate, which is
// outside of the velocity:
//     u = mu u + g + w p,  p = p - lr u
// with the weight decay w of an L2 penalty.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

// Parameters and velocities are held in the type that T computes in, as Adam's.
template <class T>
struct SgdUpdate {
  Accumulator<T>* p;
  T* copy;  // p rounded to T, for the network; null where p is what it uses
  const T* g;
  Accumulator<T>* velocity;
  const double* lr;    // one element each, which change from step to step
  const double* loss;  // where it is not finite, nothing is written
  Index size;
  double momentum;
  double weight_decay;
};

}  // namespace posetape

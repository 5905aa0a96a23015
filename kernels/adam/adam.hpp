// One step of Adam (Kingma and Ba, arXiv 1412.6980) over one flat block of parameters:
//     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//     p = (1 - lr w) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
// with the decoupled weight decay w of AdamW (Loshchilov and Hutter, arXiv 1711.05101); 0 for Adam.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

// Parameters and moments are held in the type that T computes in: bf16's eight bits could not take
// up a small update.
template <class T>
struct AdamUpdate {
  Accumulator<T>* p;
  T* copy;  // p rounded to T, for the network; null where p is what it uses
  const T* g;
  Accumulator<T>* m;
  Accumulator<T>* v;
  // What changes from step to step: lr, 1 - beta1^t, 1 - beta2^t, and the loss: where it is not
  // finite, nothing is written.
  const double* rates;
  Index size;
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
};

}  // namespace posetape

// What one step of Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
// 2024) does to a matrix before and after its momentum is made orthogonal (engine/muon.cpp), with
// Nesterov's momentum:
//     m = b m + (1 - b) g,  u = b m + (1 - b) g,  and with O the orthogonal part of u
//     p = (1 - lr w) p - lr s O
// with the decoupled weight decay w, and a scale s of the matrix's size.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

// Parameters and momenta are held in the type that T computes in, as Adam's.
template <class T>
struct MuonMomentum {
  const T* g;
  Accumulator<T>* m;
  Accumulator<T>* u;
  const double* loss;  // one element: where it is not finite, m stays
  Index size;
  double momentum;
};

template <class T>
struct MuonUpdate {
  Accumulator<T>* p;
  T* copy;  // p rounded to T, for the network; null where p is what it uses
  const Accumulator<T>* direction;
  const double* lr;    // one element each, which change from step to step
  const double* loss;  // where it is not finite, nothing is written
  Index size;
  double scale;
  double weight_decay;
};

}  // namespace posetape

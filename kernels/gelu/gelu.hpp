// y = x Phi(x), Phi the normal distribution, exactly (not the tanh formula).
//     dx = dy (Phi(x) + x phi(x)),   phi its density
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct GeluForward : UnaryForward<T> {};
template <class T>
struct GeluBackward : UnaryBackward<T> {};

}  // namespace posetape

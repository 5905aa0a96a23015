// y = max(x, 0); the slope at 0 is taken as 0.
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct ReluForward : UnaryForward<T> {};
template <class T>
struct ReluBackward : UnaryBackward<T> {};

}  // namespace posetape

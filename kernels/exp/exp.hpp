// y = e^x. dx = dy y.
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct ExpForward : UnaryForward<T> {};
template <class T>
struct ExpBackward : UnaryBackward<T> {};

}  // namespace posetape

// y = ln x. dx = dy / x.
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct LogForward : UnaryForward<T> {};
template <class T>
struct LogBackward : UnaryBackward<T> {};

}  // namespace posetape

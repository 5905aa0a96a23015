// y = a / b, broadcast. da = dy / b, db = -dy a / b^2.
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct DivForward : BinaryForward<T> {};
template <class T>
struct DivBackward : BinaryBackward<T> {};

}  // namespace posetape

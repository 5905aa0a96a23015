// y = a - b, broadcast. da = dy, db = -dy.
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct SubForward : BinaryForward<T> {};
template <class T>
struct SubBackward : BinaryBackward<T> {};

}  // namespace posetape

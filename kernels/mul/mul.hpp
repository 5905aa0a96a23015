// y = a b, elementwise, broadcast. da = dy b, db = dy a.
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct MulForward : BinaryForward<T> {};
template <class T>
struct MulBackward : BinaryBackward<T> {};

}  // namespace posetape

// y = a + b, broadcast. da = dy, db = dy.
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct AddForward : BinaryForward<T> {};
template <class T>
struct AddBackward : BinaryBackward<T> {};

}  // namespace posetape

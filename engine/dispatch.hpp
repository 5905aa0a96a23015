// From a tensor's run-time type and device to the code for them.
#pragma once

#include "engine/tensor.hpp"
#include "kernels/base/dispatch.hpp"

namespace posetape {

template <class Where, class F>
void dispatch_dtype(Where where, const Tensor& like, F&& f) {
  switch (like.dtype()) {
    case DType::f64:
      return f.template operator()<double>(where);
    case DType::f32:
      return f.template operator()<float>(where);
    case DType::bf16:
      return f.template operator()<bf16>(where);
    default:
      fail("floating-point tensor expected, shape {} holds {}", like.shape().text(),
           name(like.dtype()));
  }
}

// Calls f.operator()<T>(where) with the element type of `like` (f64, f32 or bf16) and the tag of
// its device, for launch(where, Args<T>{...}). All tensors that f asks for their memory must be on
// that device.
template <class F>
void dispatch_real(const Tensor& like, F&& f) {
  const OnDevice scope(like.device());
  if (like.device() == Device::cpu) return dispatch_dtype(Cpu{}, like, f);
  try {
    dispatch_dtype(Cuda{}, like, f);
  } catch (const Error& error) {
    fail("{} (with a tensor {} {})", error.what(), name(like.dtype()), like.shape().text());
  }
}

// The same where the numbers that carry derivatives are welcome too.
template <class F>
void dispatch(const Tensor& like, F&& f) {
  if (like.dtype() == DType::dual) return f.template operator()<Dual>(Cpu{});
  if (like.dtype() == DType::complex) return f.template operator()<Complex>(Cpu{});
  dispatch_real(like, f);
}

}  // namespace posetape

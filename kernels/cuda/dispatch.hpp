// From an argument struct to its CUDA kernels: `launch(Cuda{}, Args{...})`.
#pragma once

#include "kernels/numbers.hpp"

namespace posetape {

struct Cuda {};

// Defined by the kernel's own file, kernels/<op>/<op>.cu: see kernels/cuda/kernel.hpp.
template <class Args>
void cuda_entry(const Args& args);

// Puts the kernels into the device's stream and returns. In a build without CUDA, and for numbers
// that carry derivatives, there is no tensor that this could be called with.
template <template <class...> class Args, class T, class... S>
void launch(Cuda, const Args<T, S...>& args) {
#ifdef POSETAPE_HAVE_CUDA
  if constexpr (!carries_derivative<T>) return cuda_entry(args);
#endif
  (void)args;
  __builtin_trap();
}

}  // namespace posetape

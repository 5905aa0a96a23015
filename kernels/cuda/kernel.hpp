// What a <op>.cu includes. It defines, for each argument struct,
//     template <class T> static void run(const Args<T>& args);
// which launches static __global__ functions by POSETAPE_RUN, and closes with
// POSETAPE_CUDA_KERNEL(Args), which makes it callable by launch(Cuda{}, ...).
//
// Kernels are deterministic: sums have a fixed order, and nothing is added atomically.
#pragma once

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/port.hpp"
#include "kernels/math.hpp"
#include "kernels/scalar.hpp"

namespace posetape {

template <class Args>
void cuda_entry(const Args& args);

}  // namespace posetape

// Defines one argument struct's entry for f64, f32 and bf16.
#define POSETAPE_CUDA_KERNEL(Args)          \
  POSETAPE_CUDA_ENTRY(#Args, Args<double>); \
  POSETAPE_CUDA_ENTRY(#Args, Args<float>);  \
  POSETAPE_CUDA_ENTRY(#Args, Args<bf16>)

#define POSETAPE_CUDA_ENTRY(name, ...)       \
  template <>                                \
  void cuda_entry(const __VA_ARGS__& args) { \
    const cuda::Entry entry(name);           \
    run(args);                               \
  }                                          \
  static_assert(true)

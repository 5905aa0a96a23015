// What a <op>.cu includes. It defines, for each argument struct,
//     template <class T> static void compute(const Args<T>& args);
// which launches static __global__ functions by POSETAPE_RUN, and closes with
// POSETAPE_CUDA_KERNEL(Args), which makes it callable by launch(Cuda{}, ...).
//
// Kernels are deterministic: sums have a fixed order, and nothing is added atomically.
#pragma once

#include "kernels/base/math.hpp"
#include "kernels/base/scalar.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/port.hpp"

namespace posetape {

template <class Args>
void cuda_entry(const Args& args);

}  // namespace posetape

// Defines one argument struct's entry, with the template arguments that follow its type, for f64,
// f32 and bf16.
#define POSETAPE_CUDA_KERNEL(Args, ...)                         \
  POSETAPE_CUDA_ENTRY(#Args __VA_OPT__("<" #__VA_ARGS__ ">"),   \
                      Args<double __VA_OPT__(, ) __VA_ARGS__>); \
  POSETAPE_CUDA_ENTRY(#Args __VA_OPT__("<" #__VA_ARGS__ ">"),   \
                      Args<float __VA_OPT__(, ) __VA_ARGS__>);  \
  POSETAPE_CUDA_ENTRY(#Args __VA_OPT__("<" #__VA_ARGS__ ">"), Args<bf16 __VA_OPT__(, ) __VA_ARGS__>)

#define POSETAPE_CUDA_ENTRY(name, ...)       \
  template <>                                \
  void cuda_entry(const __VA_ARGS__& args) { \
    const cuda::Entry entry(name);           \
    compute(args);                           \
  }                                          \
  static_assert(true)

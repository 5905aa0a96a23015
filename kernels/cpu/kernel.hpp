// What a <op>_cpu.cpp includes. It defines, for each argument struct,
//     template <class T> static void compute(const Args<T>& args);
// and closes with POSETAPE_CPU_KERNEL(Args), which makes it callable by launch().
//
// The file is compiled once for each instruction set into one binary. So everything here and in
// such a file has internal linkage (static), and no standard container is used: a shared inline
// function compiled for AVX-512 could be the copy that the linker keeps for every machine.
#pragma once

#include "kernels/base/dispatch.hpp"
#include "kernels/base/math.hpp"
#include "kernels/base/parallel.hpp"
#include "kernels/base/scalar.hpp"
#ifdef POSETAPE_NUMBERS
#include "kernels/base/numbers_math.hpp"
#endif

namespace posetape {

inline constexpr Isa kIsa = Isa::POSETAPE_ISA;

template <Isa isa, class Args>
void cpu_entry(const Args& args) {
  compute(args);
}

}  // namespace posetape

// Instantiates one argument struct's entry, with the template arguments that follow its type: for
// f64, f32 and bf16; in the library of derivatives for the numbers of kernels/base/numbers.hpp; and
// in those of avx512_bf16 and on for bf16 alone (kernels/base/dispatch.hpp).
#define POSETAPE_CPU_ENTRY(Args, ...) \
  template void cpu_entry<kIsa>(const Args<__VA_ARGS__>& arguments)
#ifdef POSETAPE_NUMBERS
#define POSETAPE_CPU_KERNEL(Args, ...)                       \
  POSETAPE_CPU_ENTRY(Args, Dual __VA_OPT__(, ) __VA_ARGS__); \
  POSETAPE_CPU_ENTRY(Args, Complex __VA_OPT__(, ) __VA_ARGS__)
#elif defined(__AVX512BF16__) || defined(POSETAPE_TILE_MODEL)
#define POSETAPE_CPU_KERNEL(Args, ...) POSETAPE_CPU_ENTRY(Args, bf16 __VA_OPT__(, ) __VA_ARGS__)
#else
#define POSETAPE_CPU_KERNEL(Args, ...)                         \
  POSETAPE_CPU_ENTRY(Args, double __VA_OPT__(, ) __VA_ARGS__); \
  POSETAPE_CPU_ENTRY(Args, float __VA_OPT__(, ) __VA_ARGS__);  \
  POSETAPE_CPU_ENTRY(Args, bf16 __VA_OPT__(, ) __VA_ARGS__)
#endif

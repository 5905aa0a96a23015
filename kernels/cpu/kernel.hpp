// What a <op>_cpu.cpp includes. It defines, for each argument struct,
//     template <class T> static void run(const Args<T>& args);
// and closes with POSETAPE_CPU_KERNEL(Args), which makes it callable by launch().
//
// The file is compiled once for each instruction set into one binary. So everything here and in
// such a file has internal linkage (static), and no standard container is used: a shared inline
// function compiled for AVX-512 could be the copy that the linker keeps for every machine.
#pragma once

#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/math.hpp"
#include "kernels/numbers_math.hpp"
#include "kernels/scalar.hpp"

namespace posetape {

inline constexpr Isa kIsa = Isa::POSETAPE_ISA;

template <Isa isa, class Args>
void cpu_entry(const Args& args) {
  run(args);
}

}  // namespace posetape

// Instantiates one argument struct's entry: for f64, f32 and bf16, and in the library of
// derivatives for the numbers of kernels/numbers.hpp.
#ifdef POSETAPE_NUMBERS
#define POSETAPE_CPU_KERNEL(Args)                             \
  template void cpu_entry<kIsa>(const Args<Dual>& arguments); \
  template void cpu_entry<kIsa>(const Args<Complex>& arguments)
#else
#define POSETAPE_CPU_KERNEL(Args)                               \
  template void cpu_entry<kIsa>(const Args<double>& arguments); \
  template void cpu_entry<kIsa>(const Args<float>& arguments);  \
  template void cpu_entry<kIsa>(const Args<bf16>& arguments)
#endif

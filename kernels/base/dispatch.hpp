// From an argument struct to its kernels: launch(Cpu{}, Args{...}) and launch(Cuda{}, Args{...}).
//
// Every kernels/<op>/<op>_cpu.cpp is compiled once for each instruction set (meson option `isa`),
// several of them together, and `launch(Cpu{}, ...)` calls the best one that the machine has.
// Within a binary and a machine the choice is fixed, so results are reproducible; the environment
// variable POSETAPE_ISA (baseline, avx2, avx512, avx512_bf16, avx512_amx) lowers it for tests.
// POSETAPE_TILES=model computes products of bf16 by a model of AMX (kernels/cpu/tiles.hpp).
#pragma once

#include <span>
#include <type_traits>

#include "kernels/base/numbers.hpp"

namespace posetape {

struct Cpu {};
struct Cuda {};

// `numbers` is no instruction set: the kernels on numbers that carry derivatives.
// `tile_model` neither: a model of AMX, for tests.
enum class Isa { numbers, baseline, avx2, avx512, avx512_bf16, avx512_amx, tile_model };

// The instruction set in use, decided at the first call.
Isa cpu_isa();
const char* name(Isa isa);

// Of each instruction set, the lowest first: whether kernels are built for it, whether the
// processor has it, and what stands against it otherwise.
struct IsaChoice {
  Isa isa;
  bool built;
  bool there;
};
std::span<const IsaChoice> isa_choices();
// What POSETAPE_ISA says; null where it says nothing.
const char* isa_wish();

// Whether the environment asks for the model of AMX.
bool uses_tile_model();

// Defined by the kernel's own files: once for each instruction set (kernels/cpu/kernel.hpp), and
// for CUDA (kernels/cuda/kernel.hpp).
template <Isa isa, class Args>
void cpu_entry(const Args& args);
template <class Args>
void cuda_entry(const Args& args);

// Whether Args is a product of bf16, or made of products as attention is, which argument structs
// say by a `kProduct`; or rounds whole rows to bf16, which they say by a `kRounds`. Products are
// built for avx512_bf16 and avx512_amx, what rounds for avx512_bf16, and nothing else.
template <class Args, class T>
inline constexpr bool kProductOfBf16 = std::is_same_v<T, bf16>&& requires {
  Args::kProduct;
};
template <class Args, class T>
inline constexpr bool kRoundsToBf16 = std::is_same_v<T, bf16>&& requires {
  Args::kRounds;
};

template <template <class...> class Args, class T, class... S>
void launch(Cpu, const Args<T, S...>& args) {
  if constexpr (carries_derivative<T>) return cpu_entry<Isa::numbers>(args);
#ifdef POSETAPE_HAVE_TILE_MODEL
  if constexpr (kProductOfBf16<Args<T, S...>, T>) {
    if (uses_tile_model()) return cpu_entry<Isa::tile_model>(args);
  }
#endif
  switch (cpu_isa()) {
#ifdef POSETAPE_HAVE_AVX512_AMX
    case Isa::avx512_amx:
      if constexpr (kProductOfBf16<Args<T, S...>, T>) return cpu_entry<Isa::avx512_amx>(args);
      [[fallthrough]];
#endif
#ifdef POSETAPE_HAVE_AVX512_BF16
    case Isa::avx512_bf16:
      if constexpr (kProductOfBf16<Args<T, S...>, T> || kRoundsToBf16<Args<T, S...>, T>) {
        return cpu_entry<Isa::avx512_bf16>(args);
      }
      [[fallthrough]];
#endif
#ifdef POSETAPE_HAVE_AVX512
    case Isa::avx512:
      return cpu_entry<Isa::avx512>(args);
#endif
#ifdef POSETAPE_HAVE_AVX2
    case Isa::avx2:
      return cpu_entry<Isa::avx2>(args);
#endif
#ifdef POSETAPE_HAVE_BASELINE
    case Isa::baseline:
      return cpu_entry<Isa::baseline>(args);
#endif
    default:
      __builtin_trap();  // built without an instruction set that this machine has
  }
}

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

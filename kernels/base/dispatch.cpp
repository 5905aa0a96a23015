#include "kernels/base/dispatch.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/base/error.hpp"
#include "kernels/base/use_isa.hpp"

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace posetape {
namespace {

#ifdef POSETAPE_HAVE_BASELINE
constexpr bool kHaveBaseline = true;
#else
constexpr bool kHaveBaseline = false;
#endif
#ifdef POSETAPE_HAVE_AVX2
constexpr bool kHaveAvx2 = true;
#else
constexpr bool kHaveAvx2 = false;
#endif
#ifdef POSETAPE_HAVE_AVX512
constexpr bool kHaveAvx512 = true;
#else
constexpr bool kHaveAvx512 = false;
#endif
#ifdef POSETAPE_HAVE_AVX512_BF16
constexpr bool kHaveAvx512Bf16 = true;
#else
constexpr bool kHaveAvx512Bf16 = false;
#endif

#ifdef POSETAPE_HAVE_AVX512_AMX
constexpr bool kHaveAvx512Amx = true;
#else
constexpr bool kHaveAvx512Amx = false;
#endif

// The system gives a process tiles if it asks.
bool gets_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

// An environment variable; null where it is empty, too.
const char* wish_of(const char* variable) {
  const char* wish = std::getenv(variable);
  return wish != nullptr && *wish != '\0' ? wish : nullptr;
}

std::array<IsaChoice, 5> look() {
  bool avx2 = false, avx512 = false, bf16 = false, amx = false;
#ifdef __x86_64__
  avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  amx = bf16 && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
        kHaveAvx512Amx && gets_tiles();
#endif
  return {{{Isa::baseline, kHaveBaseline, true},
           {Isa::avx2, kHaveAvx2, avx2},
           {Isa::avx512, kHaveAvx512, avx512},
           {Isa::avx512_bf16, kHaveAvx512Bf16, bf16},
           {Isa::avx512_amx, kHaveAvx512Amx, amx}}};
}

std::string built_isas() {
  std::string names;
  for (const IsaChoice& choice : isa_choices()) {
    if (choice.built) names += std::string(names.empty() ? "" : ", ") + name(choice.isa);
  }
  return names;
}

// The best that is built and there, and not above what is asked for.
Isa best_isa() {
  const char* wish = isa_wish();
  const IsaChoice* best = nullptr;
  bool known = wish == nullptr;
  for (const IsaChoice& choice : isa_choices()) {
    if (choice.built && choice.there) best = &choice;
    if (wish == nullptr || std::string_view(wish) != name(choice.isa)) continue;
    known = true;
    break;
  }
  if (!known) {
    throw Error("POSETAPE_ISA=" + std::string(wish) +
                ": expected baseline, avx2, avx512, avx512_bf16 or avx512_amx");
  }
  (void)uses_tile_model();  // a wish that has to be right, too
  if (best == nullptr) {
    throw Error(std::string(wish == nullptr ? "this processor" : "POSETAPE_ISA") +
                " needs other kernels than this build has (" + built_isas() +
                "): build it without -Disa, which has all");
  }
  return best->isa;
}

}  // namespace

std::span<const IsaChoice> isa_choices() {
  static const auto choices = look();
  return choices;
}

const char* isa_wish() {
  return wish_of("POSETAPE_ISA");
}

static Isa& chosen_isa() {
  static Isa isa = best_isa();
  return isa;
}

Isa cpu_isa() {
  return chosen_isa();
}

void use_isa(Isa isa) {
  chosen_isa() = isa;
}

bool uses_tile_model() {
  static const bool uses = [] {
    const char* wish = wish_of("POSETAPE_TILES");
    if (wish == nullptr) return false;
    if (std::string_view(wish) != "model") {
      throw Error("POSETAPE_TILES=" + std::string(wish) + ": expected model");
    }
#ifndef POSETAPE_HAVE_TILE_MODEL
    throw Error("POSETAPE_TILES=model: this build has no model of the tiles (meson option tests)");
#endif
    return true;
  }();
  return uses;
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::avx512_amx:
      return "avx512_amx";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

}  // namespace posetape

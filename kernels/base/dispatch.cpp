#include "kernels/base/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace posetape {
namespace {

Isa best_isa() {
  Isa best = Isa::baseline;
#ifdef POSETAPE_HAVE_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::avx2;
#endif
#if defined(POSETAPE_HAVE_AVX512) || defined(POSETAPE_HAVE_AVX512_BF16)
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
#ifdef POSETAPE_HAVE_AVX512
  if (avx512) best = Isa::avx512;
#endif
#ifdef POSETAPE_HAVE_AVX512_BF16
  if (avx512 && __builtin_cpu_supports("avx512bf16")) best = Isa::avx512_bf16;
#endif
  const char* wish = std::getenv("POSETAPE_ISA");
  if (wish == nullptr) return best;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (std::string_view(wish) == name(isa)) best = std::min(best, isa);
  }
  return best;
}

}  // namespace

Isa cpu_isa() {
  static const Isa isa = best_isa();
  return isa;
}

const char* name(Isa isa) {
  switch (isa) {
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

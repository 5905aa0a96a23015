#include "kernels/cast/cast.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T, class S>
static void compute(const CastBackward<T, S>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      a.dx.put(i, static_cast<Accumulator<T>>(load(a.dy[i])));
    }
  });
}
#ifndef POSETAPE_NUMBERS
template void cpu_entry<kIsa>(const CastBackward<double, double>&);
template void cpu_entry<kIsa>(const CastBackward<double, float>&);
template void cpu_entry<kIsa>(const CastBackward<double, bf16>&);
template void cpu_entry<kIsa>(const CastBackward<float, double>&);
template void cpu_entry<kIsa>(const CastBackward<float, float>&);
template void cpu_entry<kIsa>(const CastBackward<float, bf16>&);
template void cpu_entry<kIsa>(const CastBackward<bf16, double>&);
template void cpu_entry<kIsa>(const CastBackward<bf16, float>&);
template void cpu_entry<kIsa>(const CastBackward<bf16, bf16>&);
#endif

}  // namespace posetape

#include "kernels/fill/fill.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const Fill<T>& a) {
  const T value = store<T>(a.value);
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.x[i] = value;
  });
}
POSETAPE_CPU_KERNEL(Fill);

template <class T>
static void compute(const Accumulate<T>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.y[i] = store<T>(load(a.y[i]) + load(a.x[i]));
  });
}
POSETAPE_CPU_KERNEL(Accumulate);

template <class T, class S>
static void compute(const Convert<T, S>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      a.y[i] = store<T>(static_cast<Accumulator<T>>(load(a.x[i])));
    }
  });
}
#ifndef POSETAPE_NUMBERS
template void cpu_entry<kIsa>(const Convert<double, double>&);
template void cpu_entry<kIsa>(const Convert<double, float>&);
template void cpu_entry<kIsa>(const Convert<double, bf16>&);
template void cpu_entry<kIsa>(const Convert<float, double>&);
template void cpu_entry<kIsa>(const Convert<float, float>&);
template void cpu_entry<kIsa>(const Convert<float, bf16>&);
template void cpu_entry<kIsa>(const Convert<bf16, double>&);
template void cpu_entry<kIsa>(const Convert<bf16, float>&);
template void cpu_entry<kIsa>(const Convert<bf16, bf16>&);
#endif

}  // namespace posetape

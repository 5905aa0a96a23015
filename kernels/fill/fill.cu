#include "kernels/fill/fill.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const Fill<T>& a) {
  // As wide as the pointer, so that the lambda has no padding.
  cuda::for_each(a.size, [x = a.x, value = static_cast<double>(a.value)] __device__(Index i) {
    x[i] = store<T>(static_cast<Accumulator<T>>(value));
  });
}
POSETAPE_CUDA_KERNEL(Fill);

template <class T>
static void compute(const Accumulate<T>& a) {
  cuda::for_each(
      a.size, [x = a.x, y = a.y] __device__(Index i) { y[i] = store<T>(load(y[i]) + load(x[i])); });
}
POSETAPE_CUDA_KERNEL(Accumulate);

template <class T, class S>
static void compute(const Convert<T, S>& a) {
  cuda::for_each(a.size, [x = a.x, y = a.y] __device__(Index i) {
    y[i] = store<T>(static_cast<Accumulator<T>>(load(x[i])));
  });
}
#define POSETAPE_CONVERT(T)                           \
  POSETAPE_CUDA_ENTRY("Convert", Convert<T, double>); \
  POSETAPE_CUDA_ENTRY("Convert", Convert<T, float>);  \
  POSETAPE_CUDA_ENTRY("Convert", Convert<T, bf16>)
POSETAPE_CONVERT(double);
POSETAPE_CONVERT(float);
POSETAPE_CONVERT(bf16);

}  // namespace posetape

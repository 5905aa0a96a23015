// The g++ side of kernels/cuda/port.hpp, which says what is what. Include that one.
#pragma once

#include "kernels/base/scalar.hpp"
#include "kernels/cuda/bf16x2.hpp"
#include "kernels/emulation/atomics.hpp"
#include "kernels/emulation/intrinsics.hpp"
#include "kernels/emulation/launch.hpp"
#include "kernels/emulation/math.hpp"
#include "kernels/emulation/runtime_api.hpp"
#include "kernels/emulation/vector_types.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__  // tables with an initialiser; nothing copies to symbols
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) alignas(bytes)

#define POSETAPE_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                        \
  ::posetape::emulation::launch(#kernel, ::posetape::emulation::Site::current(), kernel, grid, \
                                block, shared_bytes, stream __VA_OPT__(, ) __VA_ARGS__)

#define POSETAPE_SHARED(type, name, count)                                               \
  static constexpr ::posetape::emulation::Declaration posetape_declaration_of_##name{    \
      #name, ::posetape::emulation::Site::current()};                                    \
  type(&name)[count] = *static_cast<type(*)[count]>(::posetape::emulation::shared_array( \
      posetape_declaration_of_##name, sizeof(type[count]), alignof(type)))

#define POSETAPE_DYNAMIC_SHARED(type, name)                                    \
  type* const name = static_cast<type*>(::posetape::emulation::dynamic_shared( \
      alignof(type), ::posetape::emulation::Site::current()))

namespace posetape {

template <class V, class T>
inline V load_vector(const T* pointer,
                     const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  emulation::check_alignment(pointer, sizeof(V), site);
  V value;
  __builtin_memcpy(static_cast<void*>(&value), pointer, sizeof(V));
  return value;
}
template <class T, class V>
inline void store_vector(
    T* pointer, const V& value,
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  emulation::check_alignment(pointer, sizeof(V), site);
  __builtin_memcpy(static_cast<void*>(pointer), &value, sizeof(V));
}

inline unsigned ordered_increment(unsigned* counter, unsigned last) {
  unsigned old = __atomic_load_n(counter, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(counter, &old, old >= last ? 0 : old + 1, false,
                                      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
  }
  return old;
}

inline bf16 to_bf16(float value) {
  return bf16(value);
}
inline bf16x2 to_bf16x2(float2 pair) {
  return {bf16(pair.x), bf16(pair.y)};
}

// Pointers of all lanes meet, and the last lane to come multiplies for all.
inline void mma(float (&d)[4], const bf16x2 (&a)[4], const bf16x2 (&b)[2],
                const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  emulation::meet_warp_mma({d, a, b}, site);
}

}  // namespace posetape

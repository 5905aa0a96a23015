// CUDA's integer atomics, relaxed like CUDA's. There are none for float and double: their sums
// depend on the order of threads, and results here do not.
#pragma once

#include <type_traits>

namespace posetape::emulation {

template <class T>
concept Atomic =
    std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long>;

// Blocks of a launch share an OS thread, so this is atomic without the builtins; they tell
// ThreadSanitizer that it is.
template <Atomic T, class F>
T update(T* address, const F& f) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, f(old), true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}

}  // namespace posetape::emulation

template <posetape::emulation::Atomic T>
T atomicAdd(T* address, T value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicSub(T* address, T value) {
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicExch(T* address, T value) {
  return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicAnd(T* address, T value) {
  return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicOr(T* address, T value) {
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicXor(T* address, T value) {
  return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);
}
template <posetape::emulation::Atomic T>
T atomicMin(T* address, T value) {
  return posetape::emulation::update(address, [value](T old) { return value < old ? value : old; });
}
template <posetape::emulation::Atomic T>
T atomicMax(T* address, T value) {
  return posetape::emulation::update(address, [value](T old) { return value > old ? value : old; });
}
template <posetape::emulation::Atomic T>
T atomicCAS(T* address, T compare, T value) {
  __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return compare;
}
// Counts up to `last`, then starts at 0 again.
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return posetape::emulation::update(address,
                                     [last](unsigned old) { return old >= last ? 0 : old + 1; });
}

// CUDA's barriers, warp primitives and loads under CUDA's own names (CUDA C++ Programming Guide,
// "C++ Language Extensions"). The default argument `site` is where the kernel calls them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/bf16x2.hpp"
#include "kernels/emulation/primitives.hpp"

namespace posetape::emulation {

template <class T>
concept Shuffled = std::is_same_v<T, float> || std::is_same_v<T, double> ||
    std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, bf16x2>;

template <Shuffled T>
T exchange(Primitive primitive, unsigned mask, T value, int source, const Site& site) {
  std::uint64_t payload = 0;
  std::memcpy(&payload, &value, sizeof value);
  payload = meet_warp(primitive, mask, payload, source, site);
  std::memcpy(static_cast<void*>(&value), &payload, sizeof value);
  return value;
}

// A warp is cut into groups of `width` lanes, a power of two; a lane outside of its group is
// replaced by the caller's own.
inline int first_of_group(int width) {
  return lane() & ~(width - 1);
}

template <class T>
concept Reduced = std::is_same_v<T, int> || std::is_same_v<T, unsigned>;

template <Reduced T>
T reduce(Primitive primitive, unsigned mask, T value, const Site& site) {
  return static_cast<T>(meet_warp(primitive, mask, static_cast<std::uint32_t>(value), 0, site));
}

}  // namespace posetape::emulation

// Barriers of the block.
inline void __syncthreads(
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  meet_block(Primitive::syncthreads, 0, site);
}
inline int __syncthreads_count(
    int predicate, const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return meet_block(Primitive::syncthreads_count, predicate, site);
}
inline int __syncthreads_and(
    int predicate, const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return meet_block(Primitive::syncthreads_and, predicate, site);
}
inline int __syncthreads_or(
    int predicate, const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return meet_block(Primitive::syncthreads_or, predicate, site);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, const posetape::emulation::Site site =
                                                        posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  meet_warp(Primitive::syncwarp, mask, 0, 0, site);
}

// Shuffles of f32, f64, i32, u32 and bf16x2.
template <posetape::emulation::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return exchange(Primitive::shfl, mask, value, first_of_group(width) + (source & (width - 1)),
                  site);
}
template <posetape::emulation::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  const int source = lane() - static_cast<int>(delta);
  return exchange(Primitive::shfl_up, mask, value, source < first_of_group(width) ? lane() : source,
                  site);
}
template <posetape::emulation::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  const int source = lane() + static_cast<int>(delta);
  const bool inside = source < first_of_group(width) + width;
  return exchange(Primitive::shfl_down, mask, value, inside ? source : lane(), site);
}
// A lane may read a lower group, but not a higher one.
template <posetape::emulation::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  const int source = lane() ^ lane_mask;
  const bool inside = source < first_of_group(width) + width;
  return exchange(Primitive::shfl_xor, mask, value, inside ? source : lane(), site);
}

// Votes.
inline unsigned __ballot_sync(
    unsigned mask, int predicate,
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return static_cast<unsigned>(meet_warp(Primitive::ballot, mask, predicate != 0, 0, site));
}
inline int __any_sync(unsigned mask, int predicate,
                      const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return static_cast<int>(meet_warp(Primitive::any, mask, predicate != 0, 0, site));
}
inline int __all_sync(unsigned mask, int predicate,
                      const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return static_cast<int>(meet_warp(Primitive::all, mask, predicate != 0, 0, site));
}
// Any set of lanes with the caller in it is a right answer. This is the smallest, so that code that
// takes a warp to be converged goes wrong.
inline unsigned __activemask() {
  return 1u << posetape::emulation::lane();
}

// Reductions of 32-bit integers (sm_80 and later).
template <posetape::emulation::Reduced T>
T __reduce_add_sync(unsigned mask, T value,
                    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(Primitive::reduce_add, mask, value, site);
}
template <posetape::emulation::Reduced T>
T __reduce_min_sync(unsigned mask, T value,
                    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(std::is_signed_v<T> ? Primitive::reduce_min_signed : Primitive::reduce_min_unsigned,
                mask, value, site);
}
template <posetape::emulation::Reduced T>
T __reduce_max_sync(unsigned mask, T value,
                    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(std::is_signed_v<T> ? Primitive::reduce_max_signed : Primitive::reduce_max_unsigned,
                mask, value, site);
}
inline unsigned __reduce_and_sync(
    unsigned mask, unsigned value,
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(Primitive::reduce_and, mask, value, site);
}
inline unsigned __reduce_or_sync(
    unsigned mask, unsigned value,
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(Primitive::reduce_or, mask, value, site);
}
inline unsigned __reduce_xor_sync(
    unsigned mask, unsigned value,
    const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  using namespace posetape::emulation;
  return reduce(Primitive::reduce_xor, mask, value, site);
}

// Bits of an integer.
inline int __popc(unsigned value) {
  return std::popcount(value);
}
inline int __clz(int value) {
  return std::countl_zero(static_cast<unsigned>(value));
}
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}

// A load through the read-only cache; like every load of a GPU, aligned to its type.
template <class T>
T __ldg(const T* pointer,
        const posetape::emulation::Site site = posetape::emulation::Site::current()) {
  posetape::emulation::check_alignment(pointer, alignof(T), site);
  return *pointer;
}

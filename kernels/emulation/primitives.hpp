// What the threads of a block call, as the scheduler sees it. Kernels use the CUDA names in
// intrinsics.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/bf16x2.hpp"
#include "kernels/emulation/site.hpp"
#include "kernels/emulation/vector_types.hpp"

// The running thread's coordinates: the scheduler writes them whenever it resumes a thread.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

namespace posetape::emulation {

enum class Primitive : std::uint8_t {
  none,
  syncthreads,
  syncthreads_count,
  syncthreads_and,
  syncthreads_or,
  syncwarp,
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  reduce_add,
  reduce_min_signed,
  reduce_min_unsigned,
  reduce_max_signed,
  reduce_max_unsigned,
  reduce_and,
  reduce_or,
  reduce_xor,
  mma,
};

// Waits for all threads of the block; the predicates' count, conjunction or disjunction.
int meet_block(Primitive primitive, int predicate, const Site& site);

// Waits for the lanes in `mask`. For shuffles `source` is the lane to read.
std::uint64_t meet_warp(Primitive primitive, unsigned mask, std::uint64_t payload, int source,
                        const Site& site);

// One lane's share of a product of matrices (mma in kernels/cuda/port.hpp). Waits for the whole
// warp.
struct Fragments {
  float* d;         // [4]
  const bf16x2* a;  // [4]
  const bf16x2* b;  // [2]
};
void meet_warp_mma(const Fragments& fragments, const Site& site);

// The running thread's lane.
int lane();

// A __shared__ array, named by the address of its declaration's own `Declaration`. Kernels get the
// same memory for the same declaration all through a block.
struct Declaration {
  const char* name;
  Site site;
};
void* shared_array(const Declaration& declaration, std::size_t bytes, std::size_t alignment);

// The dynamic shared memory of the launch.
void* dynamic_shared(std::size_t alignment, const Site& site);

// Reports unless `pointer` is a multiple of `alignment`: a GPU would fault. Called at every load of
// a vector, with a constant, so that it is compiled to a mask.
[[noreturn]] void misaligned(const void* pointer, std::size_t alignment, const Site& site);
inline void check_alignment(const void* pointer, std::size_t alignment, const Site& site) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0) {
    misaligned(pointer, alignment, site);
  }
}

}  // namespace posetape::emulation

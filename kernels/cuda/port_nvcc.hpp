// The nvcc side of kernels/cuda/port.hpp, which says what is what. Include that one. Compile with
// --expt-relaxed-constexpr, which lets device code call the constexpr functions of scalar.hpp.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <tuple>
#include <utility>

#include "kernels/base/scalar.hpp"
#include "kernels/cuda/bf16x2.hpp"

namespace posetape::cuda {

// As <<<>>>, but the arguments are converted to the kernel's parameters and the error is returned.
template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes,
                   cudaStream_t stream, A&&... arguments) {
  std::tuple<P...> values(std::forward<A>(arguments)...);
  return std::apply(
      [&](auto&... value) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))..., nullptr};
        return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                                shared_bytes, stream);
      },
      values);
}

}  // namespace posetape::cuda

#define POSETAPE_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  ::posetape::cuda::launch(kernel, grid, block, shared_bytes, stream __VA_OPT__(, ) __VA_ARGS__)

// What follows is for the device, so not for a .cpp file that only launches or copies.
#ifdef __CUDACC__

#define POSETAPE_SHARED(type, name, count) __shared__ type name[count]
// One array for all types: two extern arrays of one name must have one type.
#define POSETAPE_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char posetape_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(posetape_dynamic_shared)

namespace posetape {

template <class V, class T>
__device__ inline V load_vector(const T* pointer) {
  return *reinterpret_cast<const V*>(pointer);
}
template <class T, class V>
__device__ inline void store_vector(T* pointer, const V& value) {
  *reinterpret_cast<V*>(pointer) = value;
}

__device__ inline unsigned ordered_increment(unsigned* counter, unsigned last) {
  __threadfence();
  const unsigned old = atomicInc(counter, last);
  __threadfence();
  return old;
}

// The same rounding as bf16(float) in one instruction; a NaN becomes the canonical one.
__device__ inline bf16 to_bf16(float value) {
  bf16 result;
  result.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
  return result;
}
__device__ inline bf16x2 to_bf16x2(float2 pair) {
  const __nv_bfloat162 packed = __floats2bfloat162_rn(pair.x, pair.y);
  bf16x2 result;
  __builtin_memcpy(&result, &packed, sizeof result);
  return result;
}

__device__ inline unsigned bits_of(bf16x2 pair) {
  unsigned bits;
  __builtin_memcpy(&bits, &pair, sizeof bits);
  return bits;
}
__device__ inline bf16x2 bf16x2_of(unsigned bits) {
  bf16x2 result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

__device__ inline void mma(float (&d)[4], const bf16x2 (&a)[4], const bf16x2 (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(bits_of(a[0])), "r"(bits_of(a[1])), "r"(bits_of(a[2])), "r"(bits_of(a[3])),
        "r"(bits_of(b[0])), "r"(bits_of(b[1])));
#else
  __trap();
#endif
}

}  // namespace posetape

// CUDA shuffles know no bf16x2 of ours.
__device__ inline posetape::bf16x2 __shfl_sync(unsigned mask, posetape::bf16x2 value, int source,
                                               int width = 32) {
  return posetape::bf16x2_of(__shfl_sync(mask, posetape::bits_of(value), source, width));
}
__device__ inline posetape::bf16x2 __shfl_xor_sync(unsigned mask, posetape::bf16x2 value,
                                                   int lane_mask, int width = 32) {
  return posetape::bf16x2_of(__shfl_xor_sync(mask, posetape::bits_of(value), lane_mask, width));
}
__device__ inline posetape::bf16x2 __shfl_up_sync(unsigned mask, posetape::bf16x2 value,
                                                  unsigned delta, int width = 32) {
  return posetape::bf16x2_of(__shfl_up_sync(mask, posetape::bits_of(value), delta, width));
}
__device__ inline posetape::bf16x2 __shfl_down_sync(unsigned mask, posetape::bf16x2 value,
                                                    unsigned delta, int width = 32) {
  return posetape::bf16x2_of(__shfl_down_sync(mask, posetape::bits_of(value), delta, width));
}

#endif

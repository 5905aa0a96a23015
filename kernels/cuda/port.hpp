// What every .cu file includes instead of cuda_runtime.h, so that one source serves two compilers:
// nvcc, and g++ with POSETAPE_CUDA_EMULATED, which runs kernels on the CPU (kernels/emulation).
//
//   POSETAPE_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)
//       kernel<<<grid, block, shared_bytes, stream>>>(arguments...), as an expression of type
//       cudaError_t. A kernel with a comma in its name stands in brackets: (scale<float, 4>).
//   POSETAPE_SHARED(type, name, count);          __shared__ type name[count];
//   POSETAPE_DYNAMIC_SHARED(type, name);         extern __shared__ type name[], 16-byte aligned
//   load_vector<float4>(p), store_vector(p, v)   one access of 16 (8, 4) bytes, aligned
//   ordered_increment(counter, last)             atomicInc between two fences: what the thread (and
//       whom it has met at a barrier) wrote before is seen by all who come to the counter later
//   to_float2(bf16x2), to_bf16x2(float2), to_bf16(float)
//
// Errors in emulated kernels are thrown as posetape::emulation::Finding when the stream runs.
#pragma once

#ifdef POSETAPE_CUDA_EMULATED
#include "kernels/emulation/port.hpp"  // IWYU pragma: export
#else
#include "kernels/cuda/port_nvcc.hpp"  // IWYU pragma: export
#endif

namespace posetape {

// Two bfloat16 as they lie in memory: the first one is x.
__host__ __device__ inline float2 to_float2(bf16x2 pair) {
  return make_float2(static_cast<float>(pair.x), static_cast<float>(pair.y));
}

}  // namespace posetape

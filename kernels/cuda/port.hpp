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
//   mma(d, a, b)   d += a b on tensor cores, for the whole warp (sm_80 and later; elsewhere the
//       kernel ends with an error). a is 16 x 16, b 16 x 8, d 16 x 8, and a lane has, with
//       g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"),
//           of a   columns 2t, 2t + 1 of rows g and g + 8, then columns 2t + 8, 2t + 9 of both
//           of b   rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g
//           of d   columns 2t, 2t + 1 of row g, then of row g + 8
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

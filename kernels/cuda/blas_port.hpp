// What files that call cuBLASLt include instead of cublasLt.h, and call from namespace
// posetape::cuda: the library, or with POSETAPE_CUDA_EMULATED its stand-in on the CPU
// (kernels/emulation).
#pragma once

#include <cstddef>

#ifdef POSETAPE_CUDA_EMULATED
#include "kernels/emulation/cublas_lt.hpp"  // IWYU pragma: export
#else
#include "kernels/cuda/blas_port_nvcc.hpp"  // IWYU pragma: export
#endif

namespace posetape::cuda {

// Bytes of memory that a product may use beside its matrices: NVIDIA's figure for Hopper, which is
// the largest. In the emulation all of it would be written and protected again and again.
#ifdef POSETAPE_CUDA_EMULATED
inline constexpr std::size_t kBlasWorkspace = std::size_t{64} << 10;
#else
inline constexpr std::size_t kBlasWorkspace = std::size_t{32} << 20;
#endif

}  // namespace posetape::cuda

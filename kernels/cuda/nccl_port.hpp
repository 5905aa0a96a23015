// What files that call NCCL include instead of nccl.h, and call from namespace posetape::cuda: the
// library, or with POSETAPE_CUDA_EMULATED its stand-in between processes (kernels/emulation).
#pragma once

#ifdef POSETAPE_CUDA_EMULATED
#include "kernels/emulation/nccl.hpp"  // IWYU pragma: export
#else
#include "kernels/cuda/nccl_port_nvcc.hpp"  // IWYU pragma: export
#endif

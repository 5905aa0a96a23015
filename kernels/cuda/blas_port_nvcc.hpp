// The nvcc side of kernels/cuda/blas_port.hpp: cuBLASLt's functions, each loaded at its first call.
// Linked, the library would take 0.6 s and 200 MB of every start, also where no device is asked
// for.
#pragma once

#include <cublasLt.h>

namespace posetape::cuda {

// The address of one of cuBLASLt's functions. Throws Error, which says what to install, where the
// library is not found.
void* blas_function(const char* name);

template <class Function>
class Loaded;
template <class R, class... P>
class Loaded<R(P...)> {
 public:
  explicit constexpr Loaded(const char* name) : name_(name) {}
  R operator()(P... arguments) {
    if (function_ == nullptr) function_ = reinterpret_cast<R (*)(P...)>(blas_function(name_));
    return function_(arguments...);
  }

 private:
  const char* name_;
  R (*function_)(P...) = nullptr;
};

// Inside of this namespace they hide the declarations of cublasLt.h.
#define POSETAPE_LOADED(name)                      \
  inline constinit Loaded<decltype(::name)> name { \
#name                                          \
  }
POSETAPE_LOADED(cublasLtCreate);
POSETAPE_LOADED(cublasLtDestroy);
POSETAPE_LOADED(cublasLtGetStatusName);
POSETAPE_LOADED(cublasLtMatmul);
POSETAPE_LOADED(cublasLtMatmulAlgoGetHeuristic);
POSETAPE_LOADED(cublasLtMatmulDescCreate);
POSETAPE_LOADED(cublasLtMatmulDescDestroy);
POSETAPE_LOADED(cublasLtMatmulDescSetAttribute);
POSETAPE_LOADED(cublasLtMatmulPreferenceCreate);
POSETAPE_LOADED(cublasLtMatmulPreferenceDestroy);
POSETAPE_LOADED(cublasLtMatmulPreferenceSetAttribute);
POSETAPE_LOADED(cublasLtMatrixLayoutCreate);
POSETAPE_LOADED(cublasLtMatrixLayoutDestroy);
POSETAPE_LOADED(cublasLtMatrixLayoutSetAttribute);
#undef POSETAPE_LOADED

}  // namespace posetape::cuda

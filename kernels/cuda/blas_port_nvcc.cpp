#include "kernels/cuda/blas_port_nvcc.hpp"

#include <string>

#include "kernels/base/error.hpp"

namespace posetape::cuda {

void* blas_function(const char* name) {
  static const std::string major = std::to_string(CUBLAS_VER_MAJOR);
  static void* const library = load_library(("libcublasLt.so." + major).c_str());
  std::string why;
  if (void* const function = function_of(library, name, why)) return function;
  throw Error("cuda: cuBLAS cannot be loaded (" + why + "); install cuBLAS " + major +
              " of NVIDIA's CUDA toolkit (where it is, name its folder in LD_LIBRARY_PATH), or use "
              "--device cpu");
}

}  // namespace posetape::cuda

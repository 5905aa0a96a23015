#include "kernels/cuda/blas_port_nvcc.hpp"

#include <dlfcn.h>

#include <string>

#include "kernels/base/error.hpp"

namespace posetape::cuda {

void* blas_function(const char* name) {
  static const std::string major = std::to_string(CUBLAS_VER_MAJOR);
  static void* library = nullptr;
  // Where the system looks for libraries, and then in the toolkit that this was built with.
  for (const char* folder : {"", POSETAPE_CUDA_LIBRARIES "/"}) {
    if (library != nullptr) break;
    library = dlopen((folder + ("libcublasLt.so." + major)).c_str(), RTLD_LAZY);
  }
  void* function = library != nullptr ? dlsym(library, name) : nullptr;
  if (function != nullptr) return function;
  const char* why = dlerror();
  throw Error("cuda: cuBLAS cannot be loaded (" + std::string(why != nullptr ? why : name) +
              "); install cuBLAS " + major +
              " of NVIDIA's CUDA toolkit (where it is, name its folder in LD_LIBRARY_PATH), or use "
              "--device cpu");
}

}  // namespace posetape::cuda

#include "kernels/cuda/loaded.hpp"

#include <dlfcn.h>

namespace posetape::cuda {

void* load_library(const char* file) {
  if (void* const library = dlopen(file, RTLD_LAZY)) return library;
  return dlopen((std::string(POSETAPE_CUDA_LIBRARIES "/") + file).c_str(), RTLD_LAZY);
}

void* function_of(void* library, const char* name, std::string& why) {
  void* const function = library != nullptr ? dlsym(library, name) : nullptr;
  const char* const text = function == nullptr ? dlerror() : nullptr;
  why = text != nullptr ? text : name;
  return function;
}

}  // namespace posetape::cuda

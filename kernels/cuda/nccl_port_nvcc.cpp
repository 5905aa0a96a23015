#include "kernels/cuda/nccl_port_nvcc.hpp"

#include <string>

#include "kernels/base/error.hpp"

namespace posetape::cuda {
namespace {

void* library() {
  static void* const loaded = load_library("libnccl.so.2");
  return loaded;
}

}  // namespace

bool nccl_found() {
  return library() != nullptr;
}

void* nccl_function(const char* name) {
  std::string why;
  if (void* const function = function_of(library(), name, why)) return function;
  throw Error("cuda: NCCL cannot be loaded (" + why +
              "); install NCCL 2.7 or later (where it is, name its folder in LD_LIBRARY_PATH)");
}

}  // namespace posetape::cuda

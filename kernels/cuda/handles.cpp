#include "kernels/cuda/handles.hpp"

namespace posetape::cuda {

void destroy_handles() {}

}  // namespace posetape::cuda

// kernels/cuda/runtime.hpp in a build without CUDA.
#include "kernels/cuda/runtime.hpp"
#include "kernels/error.hpp"

namespace posetape::cuda {
namespace {

[[noreturn]] void none() {
  throw Error(
      "cuda: this build has no CUDA backend; use --device cpu, or configure with -Dcuda=nvcc");
}

}  // namespace

bool built() {
  return false;
}
const DeviceInfo& open() {
  none();
}
void close() {}
void* allocate(std::size_t) {
  none();
}
void release(void*) {}
void upload(void*, const void*, std::size_t) {
  none();
}
void download(void*, const void*, std::size_t) {
  none();
}
void copy(void*, const void*, std::size_t) {
  none();
}
void fill_bytes(void*, int, std::size_t) {
  none();
}
void synchronize() {
  none();
}
void set_scratch(ScratchSource) {}
Graph::~Graph() = default;
void Graph::begin() {
  none();
}
void Graph::end() {
  none();
}
void Graph::abandon() noexcept {}
void Graph::launch() {
  none();
}
long long launches() {
  return 0;
}

}  // namespace posetape::cuda

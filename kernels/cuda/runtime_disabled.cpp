// kernels/cuda/runtime.hpp in a build without CUDA.
#include "kernels/cuda/runtime.hpp"

#include "kernels/base/error.hpp"
#include "kernels/base/links.hpp"
#include "kernels/cuda/device_choice.hpp"

namespace posetape {
namespace {

template <class R, class... A>
R none(A...) {
  throw Error(
      "cuda: this build has no CUDA backend; use --device cpu, or configure with -Dcuda=nvcc");
}

}  // namespace

constinit const Runtime cuda_runtime{
    .alignment = 1,
    .allocate = none,
    .release = none,
    .set_scratch = [](ScratchSource) {},
    .upload = none,
    .download = none,
    .copy = none,
    .fill_bytes = none,
    .synchronize = none,
    .begin_recording = none,
    .end_recording = none,
    .abandon_recording = none,
    .launch_recorded = none,
};

constinit const Links cuda_links{
    .name = "",
    .device = [] { return std::string(); },
    .make_id = none,
    .join = none,
    .exchange = none,
    .leave = none,
};

namespace cuda {

bool built() {
  return false;
}
void choose_device(int /*number*/) {}
const DeviceInfo& open() {
  return none<const DeviceInfo&>();
}
void close() {}
long long launches() {
  return 0;
}

}  // namespace cuda
}  // namespace posetape

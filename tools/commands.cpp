#include "tools/commands.hpp"

#include <fmt/format.h>

#include "kernels/base/parallel.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape::tools {

void Common::add_to(CLI::App& command) {
  command.add_option("--seed", seed, "Seed of everything random")->capture_default_str();
  command.add_option("--threads", threads, "Threads; results do not depend on it (default: all)")
      ->check(CLI::PositiveNumber);
  add_choice(command, "--device", device, "Where to compute");
}

void add_precision(CLI::App& command, DType& precision, const std::string& help) {
  constexpr static Choice<DType> kPrecisions[] = {{DType::f32, "f32"}, {DType::bf16, "bf16"}};
  add_choice(command, "--precision", precision, help, kPrecisions);
}

void Common::apply() const {
  if (threads > 0) set_threads(threads);
  if (device != Device::cuda) return;
  const cuda::DeviceInfo& info = cuda::open();
  fmt::print(stderr, "device: {}, compute capability {}.{}, {:.1f} GB{}\n", info.name, info.major,
             info.minor, static_cast<double>(info.memory) / 1e9,
             info.emulated ? ", emulated on the CPU" : "");
}

}  // namespace posetape::tools

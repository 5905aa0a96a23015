#include "tools/commands.hpp"

#include <fmt/format.h>

#include "kernels/cpu/parallel.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape::tools {

void Common::add_to(CLI::App& command) {
  command.add_option("--seed", seed, "Seed of everything random")->capture_default_str();
  command.add_option("--threads", threads, "Threads; results do not depend on it (default: all)")
      ->check(CLI::PositiveNumber);
  command.add_option("--device", device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

void Precision::add_to(CLI::App& command, const std::string& what) {
  command.add_option("--precision", text, what)
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
}

void Common::apply() const {
  if (threads > 0) set_threads(threads);
  if (device != "cuda") return;
  const cuda::DeviceInfo& info = cuda::open();
  fmt::print(stderr, "device: {}, compute capability {}.{}, {:.1f} GB{}\n", info.name, info.major,
             info.minor, static_cast<double>(info.memory) / 1e9,
             info.emulated ? ", emulated on the CPU" : "");
}

}  // namespace posetape::tools

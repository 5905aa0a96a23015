#include "tools/commands.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "data/person_world.hpp"
#include "engine/ranks/ranks.hpp"
#include "kernels/base/parallel.hpp"
#include "kernels/cuda/device_choice.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape::tools {

void add_commands(const Command& app) {
  add_pose(app);
  add_prepare(app);
  add_train(app);
  add_lift(app);
  add_refine(app);
  add_evaluate(app);
  add_convert(app);
  add_export(app);
  add_report(app);
  add_inspect(app);
  add_info(app);
  add_profile(app);
  add_gradcheck(app);
}

std::optional<double> number_of(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Option add_unit(const Command& command, std::optional<double>& metres, const std::string& help) {
  const auto set = [&metres](const std::string& text) {
    metres = number_of(text);
    for (const data::LengthUnit& unit : data::kLengthUnits) {
      if (text == unit.name) metres = unit.metres;
    }
    if (metres && *metres > 0 && std::isfinite(*metres)) return;
    throw WrongUsage("expected m, cm, mm, in or a number of metres, found " + text);
  };
  return command.add_text("--unit", set, help).type("UNIT");
}

void Common::add_to(const Command& command) {
  command.add_option("--seed", seed, "Seed of everything random").show_default();
  command.add_option("--threads", threads, "Threads; results do not depend on it (default: all)")
      .positive();
  add_choice(command, "--device", device, "Where to compute");
}

void add_precision(const Command& command, DType& precision, const std::string& help) {
  constexpr static Choice<DType> kPrecisions[] = {{DType::f32, "f32"}, {DType::bf16, "bf16"}};
  add_choice(command, "--precision", precision, help, kPrecisions);
}

void Common::apply() const {
  if (threads > 0) set_threads(threads);
  if (device != Device::cuda) return;
  cuda::choose_device(ranks().local_rank());
  const cuda::DeviceInfo& info = cuda::open();
  fmt::print(stderr, "device: {}, compute capability {}.{}, {:.1f} GB{}\n", info.name, info.major,
             info.minor, static_cast<double>(info.memory) / 1e9,
             info.emulated ? ", emulated on the CPU" : "");
}

}  // namespace posetape::tools

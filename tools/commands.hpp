// The commands of `posetape`. Each adds its options to the program and a callback that runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "engine/dtype.hpp"

namespace posetape::tools {

void add_prepare(CLI::App& app);
void add_train(CLI::App& app);
void add_lift(CLI::App& app);
void add_refine(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_convert(CLI::App& app);
void add_export(CLI::App& app);
void add_report(CLI::App& app);
void add_inspect(CLI::App& app);
void add_info(CLI::App& app);
void add_profile(CLI::App& app);
void add_gradcheck(CLI::App& app);

// Options that every command has.
struct Common {
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all cores
  std::string device = "cpu";

  void add_to(CLI::App& command);
  // Acts on threads and opens the device.
  void apply() const;
  Device where() const { return device == "cuda" ? Device::cuda : Device::cpu; }
};

// --precision: the type of a network's weights and activations.
struct Precision {
  std::string text = "f32";

  void add_to(CLI::App& command, const std::string& what);
  DType dtype() const { return text == "bf16" ? DType::bf16 : DType::f32; }
};

}  // namespace posetape::tools

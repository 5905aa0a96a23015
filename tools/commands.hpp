// The commands of `posetape`. Each adds its options to the program and a callback that runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "engine/choices.hpp"
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

// An option that takes one of `list` by its name; its help is `help` and the list. Another name is
// wrong usage, answered by the list.
template <class E>
CLI::Option* add_choice(CLI::App& command, const std::string& flag, std::string help,
                        std::span<const Choice<E>> list, std::function<void(E)> set) {
  for (const Choice<E>& choice : list) {
    help += (&choice == list.data() ? ": " : ", ") + std::string(choice.text);
    if (*choice.help != '\0') help += fmt::format(" ({})", choice.help);
  }
  const auto parse_and_set = [flag, list, set](const std::string& text) {
    try {
      set(parse<E>(text, flag.c_str() + 2, list));
    } catch (const Error& error) {
      throw CLI::ValidationError(flag, error.what());
    }
  };
  return command.add_option_function<std::string>(flag, parse_and_set, help)->type_name("NAME");
}
template <class E>
CLI::Option* add_choice(CLI::App& command, const std::string& flag, E& value,
                        const std::string& help,
                        std::type_identity_t<std::span<const Choice<E>>> list = kChoices<E>.list) {
  const auto set = [&value](E chosen) { value = chosen; };
  return add_choice<E>(command, flag, help, list, set)->default_str(name(value));
}
// Without a default.
template <class E>
CLI::Option* add_choice(CLI::App& command, const std::string& flag, std::optional<E>& value,
                        const std::string& help) {
  return add_choice<E>(command, flag, help, kChoices<E>.list,
                       [&value](E chosen) { value = chosen; });
}

// Options that every command has.
struct Common {
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all cores
  Device device = Device::cpu;

  void add_to(CLI::App& command);
  // Acts on threads and opens the device.
  void apply() const;
};

// --precision: the type of a network's weights and activations.
void add_precision(CLI::App& command, DType& precision, const std::string& help);

}  // namespace posetape::tools

// The commands of `posetape`. Each adds its options to the program and a callback that runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include "tools/command_line.hpp"

#include "engine/choices.hpp"
#include "engine/dtype.hpp"

namespace posetape::tools {

void add_pose(const Command& app);
void add_prepare(const Command& app);
void add_train(const Command& app);
void add_lift(const Command& app);
void add_refine(const Command& app);
void add_evaluate(const Command& app);
void add_convert(const Command& app);
void add_export(const Command& app);
void add_report(const Command& app);
void add_inspect(const Command& app);
void add_info(const Command& app);
void add_profile(const Command& app);
void add_gradcheck(const Command& app);
void add_commands(const Command& app);  // all of them

// An option that takes one of `list` by its name; its help is `help` and the list. Another name is
// wrong usage, answered by the list.
template <class E>
Option add_choice(const Command& command, const std::string& flag, std::string help,
                  std::span<const Choice<E>> list, std::function<void(E)> set) {
  for (const Choice<E>& choice : list) {
    help += (&choice == list.data() ? ": " : ", ") + std::string(choice.text);
    if (*choice.help != '\0') help += fmt::format(" ({})", choice.help);
  }
  const auto parse_and_set = [flag, list, set](const std::string& text) {
    try {
      set(parse<E>(text, flag.c_str() + 2, list));
    } catch (const Error& error) {
      throw WrongUsage(error.what());
    }
  };
  return command.add_text(flag, parse_and_set, help).type("NAME");
}
template <class E>
Option add_choice(const Command& command, const std::string& flag, E& value,
                  const std::string& help,
                  std::type_identity_t<std::span<const Choice<E>>> list = kChoices<E>.list) {
  const auto set = [&value](E chosen) { value = chosen; };
  return add_choice<E>(command, flag, help, list, set).show_default(name(value));
}
// Without a default.
template <class E>
Option add_choice(const Command& command, const std::string& flag, std::optional<E>& value,
                  const std::string& help) {
  return add_choice<E>(command, flag, help, kChoices<E>.list,
                       [&value](E chosen) { value = chosen; });
}

// The number that a text is, all of it; nothing where it is none.
std::optional<double> number_of(const std::string& text);

// --unit: a unit of length by its name (data/person_world.hpp), or so many metres.
Option add_unit(const Command& command, std::optional<double>& metres, const std::string& help);

// Options that every command has.
struct Common {
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all cores
  Device device = Device::cpu;

  void add_to(const Command& command);
  // Acts on threads and opens the device.
  void apply() const;
};

// --precision: the type of a network's weights and activations.
void add_precision(const Command& command, DType& precision, const std::string& help);

}  // namespace posetape::tools

// Enumerations whose values have names, in options, files and messages: one list beside each, which
// argument-dependent lookup finds,
//
//   enum class States { forward, rollout };
//   constexpr auto choices(States) {
//     return make_choices<States>("states", {{States::forward, "forward", "the noised truth"},
//                                            {States::rollout, "rollout", "what DDIM visits"}});
//   }
//
// and from it name(), parse(), JSON (choices_json.hpp) and the option of a command
// (tools/commands.hpp). A list that lacks an enumerator or has another order does not compile.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "engine/error.hpp"

namespace posetape {

template <class E>
struct Choice {
  E value{};
  const char* text = nullptr;
  const char* help = "";  // what it means, in a line; empty where the text says it
};

template <class E, std::size_t N>
struct Choices {
  const char* what;  // "error source"
  std::array<Choice<E>, N> list;
};

template <class E, std::size_t N>
constexpr Choices<E, N> make_choices(const char* what, const Choice<E> (&list)[N]) {
  return {what, std::to_array(list)};
}

template <class E>
concept Named = std::is_enum_v<E> && requires(E value) {
  choices(value).list;
};

// Whether the value is an enumerator: GCC and Clang print one that is none as a cast, "(E)7".
template <auto value>
consteval bool is_enumerator() {
  return std::string_view(__PRETTY_FUNCTION__).find("= (") == std::string_view::npos;
}

// Whether the list has all of E's values, 0, 1, ..., in their order.
template <Named E>
consteval bool lists_all() {
  constexpr auto known = choices(E{});
  for (std::size_t i = 0; i < known.list.size(); ++i) {
    if (known.list[i].value != static_cast<E>(i) || known.list[i].text == nullptr) return false;
  }
  return !is_enumerator<static_cast<E>(known.list.size())>();
}

template <Named E>
inline constexpr auto kChoices = [] {
  static_assert(lists_all<E>(), "choices() lacks an enumerator, or has another order");
  return choices(E{});
}();

template <Named E>
constexpr const char* name(E value) {
  return kChoices<E>.list[static_cast<std::size_t>(value)].text;
}

// The names of a list, or of a part of one: "forward, rollout".
template <class E>
std::string names_of(std::span<const Choice<E>> list) {
  std::string names;
  for (const Choice<E>& choice : list)
    names += (names.empty() ? "" : ", ") + std::string(choice.text);
  return names;
}

// The value of this name in a list. Throws Error that lists the names.
template <class E>
E parse(std::string_view text, const char* what, std::span<const Choice<E>> list) {
  for (const Choice<E>& choice : list) {
    if (text == choice.text) return choice.value;
  }
  fail("{} \"{}\" is unknown; choose one of: {}", what, text, names_of(list));
}
template <Named E>
E parse(std::string_view text) {
  return parse<E>(text, kChoices<E>.what, kChoices<E>.list);
}

}  // namespace posetape

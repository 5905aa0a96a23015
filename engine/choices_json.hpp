// Named enumerations in JSON, by their names: json(value), and j.get<E>() which throws as parse().
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/choices.hpp"

template <posetape::Named E>
struct nlohmann::adl_serializer<E> {
  template <class Json>
  static void to_json(Json& json, E value) {
    json = posetape::name(value);
  }
  template <class Json>
  static void from_json(const Json& json, E& value) {
    value = posetape::parse<E>(json.template get<std::string>());
  }
};

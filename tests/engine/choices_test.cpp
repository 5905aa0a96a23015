#include "engine/choices.hpp"

#include <doctest/doctest.h>

#include "engine/choices_json.hpp"

namespace posetape {
namespace {

enum class Fruit { apple, pear };
constexpr auto choices(Fruit) {
  return make_choices<Fruit>("fruit", {{Fruit::apple, "apple", "red"}, {Fruit::pear, "pear"}});
}

enum class Short { one, two };  // the list lacks the last
constexpr auto choices(Short) {
  return make_choices<Short>("short", {{Short::one, "one"}});
}

enum class Swapped : unsigned char { one, two };
constexpr auto choices(Swapped) {
  return make_choices<Swapped>("swapped", {{Swapped::two, "two"}, {Swapped::one, "one"}});
}

static_assert(lists_all<Fruit>() && !lists_all<Short>() && !lists_all<Swapped>());
static_assert(is_enumerator<Fruit::pear>() && !is_enumerator<static_cast<Fruit>(2)>());
static_assert(Named<Fruit> && !Named<int>);

TEST_CASE("a choice's name is parsed to it, and another is answered by the list") {
  CHECK(name(Fruit::pear) == std::string("pear"));
  CHECK(parse<Fruit>("apple") == Fruit::apple);
  CHECK(names_of<Fruit>(kChoices<Fruit>.list) == "apple, pear");
  CHECK_THROWS_WITH_AS(parse<Fruit>("Apple"),
                       "fruit \"Apple\" is unknown; choose one of: apple, pear", Error);
  CHECK_THROWS_WITH_AS(parse<Fruit>(""), "fruit \"\" is unknown; choose one of: apple, pear",
                       Error);
  const Choice<Fruit> one[] = {{Fruit::pear, "pear"}};
  CHECK_THROWS_WITH_AS(parse<Fruit>("apple", "fruit", one),
                       "fruit \"apple\" is unknown; choose one of: pear", Error);
}

TEST_CASE("a choice in JSON is its name") {
  const nlohmann::ordered_json json{{"fruit", Fruit::pear}, {"other", "fig"}};
  CHECK(json.dump() == R"({"fruit":"pear","other":"fig"})");
  CHECK(json.at("fruit").get<Fruit>() == Fruit::pear);
  CHECK_THROWS_WITH_AS(json.at("other").get<Fruit>(),
                       "fruit \"fig\" is unknown; choose one of: apple, pear", Error);
}

}  // namespace
}  // namespace posetape

// --recipe: what options are where they are not given.
#pragma once

#include "engine/choices.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

// diffusion/RESULTS.md has both beside each other.
enum class Recipe {
  best,   // what was measured to be best on people whom no training saw
  paper,  // D3PRefiner's own, as far as it says it
};
constexpr auto choices(Recipe) {
  return make_choices<Recipe>("recipe",
                              {{Recipe::best, "best", "as measured: diffusion/RESULTS.md"},
                               {Recipe::paper, "paper", "as D3PRefiner does it"}});
}

inline void add_recipe(const Command& command, Recipe& recipe, const std::string& paper) {
  add_choice(command, "--recipe", recipe,
             "What the other options are by default (paper: " + paper + ")");
}

}  // namespace posetape::tools

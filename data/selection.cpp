#include "data/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "engine/error.hpp"

namespace posetape::data {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> select(const std::vector<std::string>& present,
                                const std::vector<std::string>& chosen, std::string_view what) {
  for (const std::string& name : chosen) {
    if (!contains(present, name)) {
      fail("{} '{}' is not in the data, which has {}", what, name, fmt::join(present, ", "));
    }
  }
  std::vector<std::string> kept;
  std::ranges::copy_if(present, std::back_inserter(kept), [&](const std::string& name) {
    return chosen.empty() || contains(chosen, name);
  });
  return kept;
}

std::vector<std::string> select_test_subjects(const std::vector<std::string>& present,
                                              const std::optional<std::vector<std::string>>& chosen,
                                              const std::vector<std::string>& defaults) {
  if (chosen) {
    if (chosen->empty()) return {};
    return select(present, *chosen, "test subject");
  }
  std::vector<std::string> tests;
  std::ranges::copy_if(defaults, std::back_inserter(tests),
                       [&](const std::string& name) { return contains(present, name); });
  return tests;
}

void check_cameras(const std::vector<int>& chosen, std::size_t rig) {
  if (chosen.empty()) fail("no cameras chosen: give some of 0 to {}", rig - 1);
  for (const int c : chosen) {
    if (c < 0 || c >= static_cast<int>(rig)) fail("no camera {}: there are 0 to {}", c, rig - 1);
    if (std::ranges::count(chosen, c) > 1) fail("camera {} is chosen more than once", c);
  }
}

}  // namespace posetape::data

// Which subjects and cameras of a source go into a dataset.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace posetape::data {

bool contains(const std::vector<std::string>& names, std::string_view name);

// The chosen names in the order in which they are present; all where none is chosen. Throws where
// one is not there; `what` is its kind for the message.
std::vector<std::string> select(const std::vector<std::string>& present,
                                const std::vector<std::string>& chosen, std::string_view what);

// The test subjects: those chosen, which must be there, else those of the defaults that are.
std::vector<std::string> select_test_subjects(const std::vector<std::string>& present,
                                              const std::optional<std::vector<std::string>>& chosen,
                                              const std::vector<std::string>& defaults);

// Throws unless the numbers are cameras of a rig of so many, each once, and at least one.
void check_cameras(const std::vector<int>& chosen, std::size_t rig);

}  // namespace posetape::data

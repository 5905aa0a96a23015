// Text from files, which may hold anything, for messages.
#pragma once

#include <string>
#include <string_view>

namespace posetape::data {

// One line of printable characters, at most 60 and "...".
std::string printable(std::string_view text);

}  // namespace posetape::data

// Text from files, which may hold anything, for messages and names.
#pragma once

#include <string>
#include <string_view>

namespace posetape::data {

// One line of printable characters, at most 60 and "...".
std::string printable(std::string_view text);

// A part of a sequence's name, between slashes, from what a file calls something: the last part of
// a path, any UTF-8; a control character or a byte that is no UTF-8 becomes '_'. Never empty.
std::string part_of_name(std::string_view name);

}  // namespace posetape::data

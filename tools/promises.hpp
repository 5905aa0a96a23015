// What is equal to the bit to what, and how far apart the rest is: `posetape info --promises`.
// tests/tools/promises_test.py runs every row.
#pragma once

#include <string>

namespace posetape::tools {

// A table, a row for each change of a command.
std::string promises_table();

}  // namespace posetape::tools

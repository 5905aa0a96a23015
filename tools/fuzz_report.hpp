// What `posetape gradcheck --fuzz` prints of its random programs.
#pragma once

#include <string>

#include "tests/cases/fuzz.hpp"

namespace posetape::tools {

// A line for each op and input: the worst error in ULP of each type, beside the known figure.
std::string loss_table(const FuzzReport& report, bool colour);
// A line for each check: what it looked at, and what it said.
std::string tally_table(const FuzzReport& report, bool colour);
// Every failure with its program in C++ and the command that draws it again, and every figure that
// is exceeded.
std::string fuzz_failure_text(const FuzzReport& report, const FuzzOptions& options, bool colour);
std::string fuzz_summary_line(const FuzzReport& report, bool colour);

}  // namespace posetape::tools

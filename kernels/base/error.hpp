// The one exception type of the project.
#pragma once

#include <stdexcept>

namespace posetape {

// What went wrong, where, and what to do about it, in one line without a trailing full stop.
// Thrown by every host API; only the command line turns it into an exit code.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace posetape

// What the emulation says when a kernel or the host's use of the runtime is wrong.
#pragma once

#include <stdexcept>
#include <string>

namespace posetape::emulation {

// A bug in the program under test, as opposed to an error code of the device, so it is thrown and
// not returned: no error path can swallow it. what() is the whole report, several lines long.
class Finding : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace posetape::emulation

// The helper that throws the project's one exception type.
#pragma once

#include <fmt/core.h>

#include <utility>

#include "kernels/base/error.hpp"

namespace posetape {

// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace posetape

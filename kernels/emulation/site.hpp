// A place in a source file.
#pragma once

namespace posetape::emulation {

// std::source_location, which clang 14 has not with libstdc++. As a default argument,
// Site::current() is where the function is called.
struct Site {
  const char* file = "";
  unsigned line = 0;

  static constexpr Site current(const char* file = __builtin_FILE(),
                                unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  friend constexpr bool operator==(const Site& a, const Site& b) {
    return a.line == b.line && a.file == b.file;
  }
};

}  // namespace posetape::emulation

// The options of `lift` and `refine` that say how sequences become windows.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "data/protocol.hpp"

namespace posetape::tools {

struct WindowOptions {
  std::string protocol = "sequence";
  std::optional<int> stride;
  std::optional<int> step;
  std::optional<bool> flip_average;

  void add_to(CLI::App& command);

  // The choices for a network of T = `frames`. Throws Error for an unknown protocol and for options
  // that its windows don't have.
  struct Choice {
    data::Protocol protocol;
    data::WindowCut windows;
    bool flip_average = false;
  };
  Choice choose(int frames) const;
};

}  // namespace posetape::tools

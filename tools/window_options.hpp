// The options of `lift` and `refine` that say how sequences become windows.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "data/protocol.hpp"

namespace posetape::tools {

struct WindowOptions {
  data::ProtocolName protocol = data::ProtocolName::sequence;
  std::optional<int> stride;
  std::optional<int> step;
  std::optional<bool> flip_average;

  void add_to(CLI::App& command);

  // The choices for a network of T = `frames`, which are `own_step` apart unless options say
  // otherwise. Throws Error for what its windows can't be.
  struct Choice {
    data::Protocol protocol;
    data::WindowCut windows;
    bool flip_average = false;
  };
  Choice choose(int frames, int own_step = 1) const;
};

}  // namespace posetape::tools

// The options of `lift` and `refine` that say how sequences become windows and go through a
// network.
#pragma once

#include <optional>
#include <string>
#include "tools/command_line.hpp"

#include "diffusion/sequences.hpp"

namespace posetape::tools {

struct WindowOptions {
  data::ProtocolName protocol = data::ProtocolName::sequence;
  std::optional<int> stride;
  std::optional<data::Overlap> overlap;
  std::optional<int> step;
  std::optional<bool> flip_average;
  int batch = 32;

  void add_to(const Command& command);

  // The choices for a network of T = `frames`, which are `own_step` apart unless options say
  // otherwise. Throws Error for what its windows can't be.
  struct Choice {
    data::Protocol protocol;
    diffusion::Inference::Options inference;
  };
  Choice choose(int frames, int own_step = 1) const;
};

}  // namespace posetape::tools

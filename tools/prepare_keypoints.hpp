// posetape prepare keypoints and prepare estimates: what other people's tools saw.
#pragma once

#include "tools/command_line.hpp"

namespace posetape::tools {

void add_prepare_keypoints(const Command& prepare);

}  // namespace posetape::tools

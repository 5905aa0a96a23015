// posetape prepare keypoints and prepare estimates: what other people's tools saw.
#pragma once

#include <CLI/CLI.hpp>

namespace posetape::tools {

void add_prepare_keypoints(CLI::App& prepare);

}  // namespace posetape::tools

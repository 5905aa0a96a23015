#pragma once

#include <CLI/CLI.hpp>

namespace posetape::tools {

void add_train_smoothers(CLI::App& train);

}  // namespace posetape::tools

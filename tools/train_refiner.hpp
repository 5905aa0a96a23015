#pragma once

#include <CLI/CLI.hpp>

namespace posetape::tools {

void add_train_refiner(CLI::App& train);

}  // namespace posetape::tools

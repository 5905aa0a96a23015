#pragma once
#include "tools/command_line.hpp"

namespace posetape::tools {
void add_train_uncertainty(const Command& train);
}

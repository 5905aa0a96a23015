#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/safetensors.hpp"
#include "model/smoothnet.hpp"

namespace posetape::tools {

void add_train_smoothnet(CLI::App& train);

bool is_smoothnet(const TensorFile& file);
// Throws where the file is of another version, or its tensors do not fit.
model::Smoothnet load_smoothnet(const TensorFile& file, const std::string& path, DType dtype,
                                Device device = Device::cpu);

}  // namespace posetape::tools

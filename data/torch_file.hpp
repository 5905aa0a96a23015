// Checkpoints of PyTorch, read without it and without running what is in them. Source: PyTorch's
// torch/serialization.py (zip format since 1.6, and the older one) and torch/_utils.py.
#pragma once

#include <string>
#include <string_view>

#include "engine/safetensors.hpp"

namespace posetape::data {

// Whether the file starts as one of PyTorch's two formats does.
bool is_torch_file(const std::string& path);

// The weights of a model: a state_dict, or a dict that holds one beside other things (the
// optimiser, the epoch, a random state), which are left out. The prefix "module.", which
// DataParallel adds, is taken away. f32, f64 and bf16 stay what they are; f16 becomes f32 and i64
// becomes i32.
//
// Throws Error on a file that is none of these, cut off or damaged, has no or several state_dicts,
// needs any other global than those of plain checkpoints, and on tensors that do not fit their
// storage.
TensorFile read_torch(const std::string& path);

}  // namespace posetape::data

// safetensors that others wrote, which may hold more than the engine's own files do.
#pragma once

#include <string>
#include <vector>

#include "engine/safetensors.hpp"

namespace posetape {

// A tensor of a file that was passed over, and what it is: "I64".
struct PassedOver {
  std::string name, what;
};

// As read_safetensors, and F16 and F8 (E4M3, E5M2, and both as FNUZ) become F32. Tensors of other
// element types that the format has are added to `passed_over`. Throws Error as read_safetensors.
TensorFile read_foreign_safetensors(const std::string& path, std::vector<PassedOver>& passed_over);

}  // namespace posetape

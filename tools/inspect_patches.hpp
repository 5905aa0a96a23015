// --patch of `posetape inspect`: what stands for a tensor of a pass.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/study.hpp"
#include "engine/patches.hpp"
#include "tools/inspected.hpp"

namespace posetape::tools {

// "PATTERN=VALUE" with VALUE a number, "mean", FILE, or FILE:ARRAY: an inspection file, and which
// of its arrays where it is not the one of the same name.
struct PatchOption {
  std::string pattern;
  std::optional<double> number;
  std::string file;  // empty: a number, or where there is none the mean
  std::string array;
};
// Throws WrongUsage where it is something else, and Error where there is no such file.
PatchOption parse_patch(const std::string& text);

// Makes them act while the result lives. `windows` says which are in the pass that runs. Means are
// those of the pass as it is without patches, which is run here where one is asked for. Throws
// Error where a file can't be read; the patches do where it has no such array or one of another
// shape.
class InspectPatches {
 public:
  InspectPatches(const std::vector<PatchOption>& options, const diffusion::Study& study,
                 const Inspected& layout, std::function<std::span<const data::Window>()> windows);

  // Throws Error where a pattern has replaced nothing.
  void check() const { patches_->check(); }

 private:
  diffusion::Means means_;
  std::unique_ptr<Patches> patches_;
};

}  // namespace posetape::tools

// How `lift` and `refine` make clips fit a network: its frame rate, its way of normalising, its
// joints (data/view.hpp).
#pragma once

#include <string>
#include <vector>
#include "tools/command_line.hpp"

#include "data/view.hpp"
#include "engine/safetensors.hpp"
#include "tools/window_options.hpp"

namespace posetape::tools {

// What a checkpoint says that it was trained on.
data::Convention convention_of(const TensorFile& file, const std::string& path);

struct ViewOptions {
  std::string camera;              // a calibration file
  std::string camera_name;         // of its cameras, the one of all clips
  std::vector<double> intrinsics;  // fx, fy, cx, cy[, k1, k2, p1, p2[, k3]] of all clips
  std::vector<double> up;          // with them: the direction up in camera space
  bool keep_rate = false;
  bool quiet = false;  // says nothing: another network of the same data has said it

  void add_to(const Command& command);

  // The clips of the dataset at `path` as the network of `checkpoint` has to see them. Cameras that
  // options give are written to the dataset. Says on standard error what doesn't fit, and what is
  // not known.
  data::View view(data::Dataset& dataset, const std::string& path, data::Convention convention,
                  const std::string& checkpoint, const WindowOptions& windows) const;

  // The first part of it: writes the cameras, says what is not known, and returns the convention
  // with these cameras.
  data::Convention set_cameras(data::Dataset& dataset, const std::string& path,
                               data::Convention convention, const std::string& checkpoint) const;
};

}  // namespace posetape::tools

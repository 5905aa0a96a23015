// What is known of the camera that filmed a clip: its lens (intrinsics) and the direction up.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/camera.hpp"
#include "data/dataset.hpp"

namespace posetape::data {

// A camera of a calibration file:
//
//   {"cameras": [{
//     "name": "left",
//     "size": [1920, 1080],              pixels
//     "focal": [1500, 1500],             pixels; one number stands for both
//     "centre": [960, 540],              principal point, pixels; the image's middle where absent
//     "radial": [k1, k2, k3],            OpenCV's, zeros where absent
//     "tangential": [p1, p2],            likewise
//     "rotation": [[..], [..], [..]],    from the world (z up) to the camera, as OpenCV's R
//     "position": [x, y, z],             of the camera in the world, metres, floor at z = 0
//     "up": [0, -1, 0]                   or just the direction up in camera space
//   }]}
//
// Camera space is x right, y down, z forward. `prepare` needs rotation and position; `lift` needs
// the lens, and takes up from `up` or `rotation`.
struct CalibratedCamera {
  Camera camera;           // id: its name
  bool placed = false;     // whether it has a rotation and a position
  std::optional<Vec3> up;  // in camera space, unit
};

// That, or a calibration of Qualisys, Pose2Sim or Anipose (calibration_formats.hpp). Throws Error
// with the file, the camera and the field for what is missing, unknown or impossible.
std::vector<CalibratedCamera> read_calibration(const std::filesystem::path& path);
// The camera of that name alone. Throws Error, with the names that there are.
std::vector<CalibratedCamera> named(std::vector<CalibratedCamera> cameras, const std::string& name,
                                    const std::string& path);

// Writes the lens of a camera, and the direction up, to a sequence.
void set_calibration(Sequence& sequence, const Camera& camera, const std::optional<Vec3>& up);
// The same for all sequences: each gets the camera of its name's last part, or the only one there
// is. Throws Error where there is no such camera, or the image has another size.
void set_calibration(Dataset& dataset, std::span<const CalibratedCamera> cameras,
                     const std::string& path);

// The camera that a sequence has the lens of; it stands level where the direction up is unknown.
// Throws Error where the sequence has no intrinsics.
Camera lens_of(const Sequence& sequence);
// The rotation from a sequence's camera space to that of a level camera at the same place, which
// looks in the direction (seen from above) in which the sequence's hip is on average.
Eigen::Quaterniond levelling(const Sequence& sequence);

}  // namespace posetape::data

// Calibration files of other programs, brought into the form of ours (calibration.hpp), which is
// where their numbers are checked.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace posetape::data {

// Whether the text is XML.
bool is_qualisys_calibration(const std::string& text);

// Qualisys Track Manager's ".qca.txt": focal lengths, centres and the borders of the image in
// sixty-fourths of a pixel, positions in mm, z up. A camera looks along its own -z with y up, so
// that its y and z change their signs here. Cameras that are not active are left out. Throws Error
// that names `path`.
nlohmann::json qualisys_calibration(const std::string& text, const std::string& path);

// Pose2Sim's and Anipose's "Calib.toml": a table for each camera with size, matrix, distortions
// (OpenCV's k1, k2, p1, p2, k3), rotation (Rodrigues) and translation, from a world in metres, z
// up, to the camera. Throws Error that names `path`, with its line where it is no TOML.
nlohmann::json toml_calibration(const std::string& text, const std::string& path);

}  // namespace posetape::data

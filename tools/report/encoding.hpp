// Numbers as the report's page stores them.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

namespace posetape::tools::report {

// Poses are stored in multiples of a quarter of a millimetre, so that a coordinate is off by at
// most 0.125 mm and what the page computes of them by little more; 2D poses in quarters of a pixel.
inline constexpr double kPoseUnit = 0.00025;  // metres
inline constexpr double kPixelUnit = 0.25;

// Arrays of `width` values, one after the other (e.g. frames of 51 coordinates), as base64 of
// zigzag varints (7 bits a byte, the lowest first) of the differences from one array to the next,
// in multiples of `unit`. Poses change little from frame to frame, so most values take one byte.
std::string encoded(std::span<const float> values, std::size_t width, double unit);

// Values as bytes in base64, 0 for the least and 255 for the most of them: {"low", "high",
// "bytes"}.
nlohmann::ordered_json byte_scaled(std::span<const double> values);

// The value with so many significant digits: fewer to store, and none that matter.
double rounded(double value, int digits = 5);
nlohmann::ordered_json rounded_list(std::span<const double> values, int digits = 5);

// JSON for a <script> element: ASCII, without '<', so that no name can end the element. Bytes that
// are not UTF-8 become U+FFFD.
std::string script_text(const nlohmann::ordered_json& json);

}  // namespace posetape::tools::report

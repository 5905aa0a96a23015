// The unit of length and the vertical axis of a file of motion, judged by the person in it: a
// person is 1.2 to 2.3 m tall from the ankles to the top of the head, and stands more than lies.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/motion.hpp"

namespace posetape::data {

// A point of a right-handed world with this vertical in a right-handed z-up one.
Vec3 z_up(const Vec3& p, UpAxis up);

// Units by the names that files and options have for them.
struct LengthUnit {
  const char* name;
  double metres;
};
inline constexpr LengthUnit kLengthUnits[] = {
    {"m", 1}, {"cm", 0.01}, {"mm", 0.001}, {"in", 0.0254}};
// "cm"; "0.5 m" where it has no name.
std::string unit_name(double metres_per_unit);

// Of a unit as files write it, "MM", "Meters", "inches"; nothing where it is unknown.
std::optional<double> named_unit(std::string_view text);

// How a file was understood, where there was a choice: a line each, without the file's name.
using Notes = std::vector<std::string>;

// What is known before the person is looked at.
struct WorldClues {
  std::optional<double> given_unit = std::nullopt,
                        stated_unit = std::nullopt;  // metres; by the user, by the file
  std::optional<UpAxis> given_up = std::nullopt, stated_up = std::nullopt;
  double usual_unit = 1;  // of the format, where nobody says it
  UpAxis usual_up = UpAxis::y;
  const Pose3* rest = nullptr;  // the pose in which the skeleton was drawn, if there is one
};

// What the user says is taken; then what the file says, or is usual, where it fits the person; then
// the unit of kLengthUnits (or CMU's, 0.0564 m) and the axis that do. A choice against what was
// said is a note. Throws Error, with the option that mends it, where no person's size comes out.
World find_world(const std::string& file, std::span<const Pose3> frames, const WorldClues& clues,
                 Notes& notes);

// Puts poses in a file's unit and axes into a z-up world of metres.
void to_world(std::vector<Pose3>& frames, const World& world);

}  // namespace posetape::data

// Units and axes of other people's 3D estimates: found, turned into metres in a camera's axes, and
// checked. Poses are [F][17][3].
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// The vertical axis of estimates, and with it the others: up is -y in a camera's axes (x right, y
// down, z away), y where x is to the right and z towards the viewer, z where x is to the right and
// y away. For files whose axes are left-handed, or turned about the vertical, there are `mirror`
// and `turn`.
enum class EstimateUp { minus_y, y, z };
constexpr auto choices(EstimateUp) {
  return make_choices<EstimateUp>("axis", {{EstimateUp::minus_y, "-y", "a camera's: y down"},
                                           {EstimateUp::y, "y"},
                                           {EstimateUp::z, "z"}});
}

struct EstimateAxes {
  EstimateUp up = EstimateUp::minus_y;
  bool mirror = false;  // x changes sign
  double turn = 0;      // degrees about the vertical
};

// Metres a unit: such that the person has a height, where one is given; as stated; or the unit
// among m, cm, mm and in by which thighs and shins are a person's, which is noted. Throws Error
// "<where>: ..." where there is none, or the stated one is far off.
double find_scale(const PoseArray& poses, std::optional<double> height,
                  std::optional<double> metres_per_unit, const std::string& where,
                  std::vector<std::string>& notes);

// The vertical axis: `usual`, but where the person clearly stands along another one.
EstimateUp find_up(const PoseArray& poses, EstimateUp usual);

// Turns poses to a camera's axes (x right, y down, z away) and scales them.
void to_camera(PoseArray& poses, const EstimateAxes& axes, double scale);

// Moves joint 0 to the origin in every frame; returns how far it was from there at most.
double to_root(PoseArray& poses);

// Throws Error where heads are below hips, or where the person is mirrored: then the nose and the
// knees point backwards.
void check_axes(const PoseArray& poses, const std::string& where);

// The turn about the vertical, in degrees, after which x goes best with that of the 2D poses.
double best_turn(const PoseArray& poses, const PoseArray& pixels);

// Throws Error where x or y of an estimate don't go with those of the 2D poses.
void check_image(const PoseArray& poses, const PoseArray& pixels, const std::string& where);

}  // namespace posetape::data

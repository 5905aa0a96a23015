// Motion in the world, before any camera has seen it.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/camera.hpp"
#include "data/dataset.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

using Pose3 = std::array<Vec3, kJoints>;

// Where joint 0 is: at the root of a file's skeleton (in the CMU database 8 to 10 cm above the line
// between the hip joints), so that all bones keep their lengths, or at the midpoint of the two hip
// joints, as in Human3.6M.
enum class HipRoot { root, midpoint };
constexpr auto choices(HipRoot) {
  return make_choices<HipRoot>("hip", {{HipRoot::root, "root", "the skeleton's"},
                                       {HipRoot::midpoint, "midpoint", "of both hips"}});
}

// The vertical of a file's world.
enum class UpAxis { y, z, x, minus_y, minus_z, minus_x };
constexpr auto choices(UpAxis) {
  return make_choices<UpAxis>("up", {{UpAxis::y, "y"},
                                     {UpAxis::z, "z"},
                                     {UpAxis::x, "x"},
                                     {UpAxis::minus_y, "-y"},
                                     {UpAxis::minus_z, "-z"},
                                     {UpAxis::minus_x, "-x"}});
}

// What a file's numbers are.
struct World {
  double metres_per_unit = 1;
  UpAxis up = UpAxis::y;

  bool operator==(const World&) const = default;
};

// What a motion's neck and head are.
enum class HeadPoints {
  joints,         // of a skeleton
  nose,           // the neck is the nose, as keypoints have it; the head none of theirs
  nose_and_eyes,  // the head between the eyes
  nose_and_top,   // the head at its top
};

// One person's movement: [F] poses of 17 joints in metres, world z up, floor near z = 0.
struct Motion {
  std::string subject;
  std::string name;
  double fps = 50;
  std::vector<Pose3> frames;
  // Where the middle of the head is on the way from neck (0) to head (1): 1 where the source's head
  // joint is it, as in CMU's skeletons, 0.5 where that is the top.
  double mid_head = 0.5;
  HeadPoints head = HeadPoints::joints;
  // As its file was read, where the file does not say it.
  std::optional<World> world = std::nullopt;
  std::vector<std::string> notes = {};  // what was chosen where its file left a choice
};

// A point of a right-handed y-up world in a right-handed z-up one: x stays, y becomes z.
inline Vec3 y_up_to_z_up(const Vec3& p) {
  return {p.x(), -p.z(), p.y()};
}

// Joint 0 of every frame to the midpoint of the two hip joints.
void hip_to_midpoint(std::vector<Pose3>& frames);

// Catmull-Rom interpolation between b (t = 0) and c (t = 1); a and d are the points beside them.
template <class T>
T catmull_rom(const T& a, const T& b, const T& c, const T& d, double t) {
  return b + 0.5 * t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * (b - c) + d - a)));
}

// The motion at another rate, by Catmull-Rom interpolation of every coordinate over time. Frame 0
// stays frame 0 and the last frame is the last full step inside the source. Where the rates are
// equal the frames are returned untouched.
Motion resample(Motion motion, double fps);

// The point of the floor that a rig's cameras look at: least-squares intersection of their optical
// axes seen from above, metres. Throws where the axes are parallel.
Vec2 capture_centre(std::span<const Camera> rig);

// Puts a motion into a rig's capture volume by one horizontal shift of the whole clip: the middle
// of the box around the hip's path goes to `centre`. Neither heights nor directions change, so the
// floor stays where it is and the clip stays what it was.
Motion place(Motion motion, const Vec2& centre);

// The motion as one camera sees it: exact pixels (with lens distortion) and all 17 joints in camera
// space, absolute, metres. Named "<subject>/<name>/<camera_name>". Throws where a joint comes
// closer than 10 cm to the image plane or behind it.
Sequence film(const Motion& motion, const Camera& camera, const std::string& camera_name);

}  // namespace posetape::data

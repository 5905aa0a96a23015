#include "data/person_world.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr double kCmuUnit = 0.0254 / 0.45;   // what BVH made of CMU's ASF/AMC has
constexpr double kLeast = 1.2, kMost = 2.3;  // metres: a person
constexpr double kLikely[] = {1.3, 2.0};     // surely one, for a unit that nobody named
constexpr double kTooSmall = 0.5, kTooTall = 3.5;

Vec3 middle(const Pose3& pose, int a, int b) {
  return 0.5 * (pose[a] + pose[b]);
}

// From the ankles over the knees, hips and the spine to the head.
double height(const Pose3& pose) {
  using namespace joint;
  const auto length = [&](int a, int b) { return (pose[a] - pose[b]).norm(); };
  return 0.5 * (length(right_foot, right_knee) + length(left_foot, left_knee) +
                length(right_knee, right_hip) + length(left_knee, left_hip)) +
         (middle(pose, right_hip, left_hip) - pose[thorax]).norm() + length(thorax, neck) +
         length(neck, head);
}

// At most so many frames, evenly over the clip, are looked at.
std::vector<const Pose3*> some_of(std::span<const Pose3> frames) {
  constexpr std::size_t kFrames = 200;
  std::vector<const Pose3*> some;
  const std::size_t count = std::min(kFrames, frames.size());
  for (std::size_t i = 0; i < count; ++i) some.push_back(&frames[i * frames.size() / count]);
  return some;
}

double median_height(const std::vector<const Pose3*>& poses) {
  std::vector<double> heights;
  for (const Pose3* pose : poses) {
    if (const double tall = height(*pose); std::isfinite(tall)) heights.push_back(tall);
  }
  if (heights.empty()) return 0;
  const auto half = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
  std::ranges::nth_element(heights, half);
  return *half;
}

// The axis along which the head is from the feet, if it is clearly one.
std::optional<UpAxis> standing_along(const std::vector<const Pose3*>& poses, double tall) {
  Vec3 mean = Vec3::Zero();
  for (const Pose3* pose : poses) {
    mean += (*pose)[joint::head] - middle(*pose, joint::right_foot, joint::left_foot);
  }
  mean /= static_cast<double>(poses.size()) * tall;
  int axis = 0;
  const double most = mean.cwiseAbs().maxCoeff(&axis);
  Vec3 others = mean;
  others[axis] = 0;
  if (!(most > 0.5 && most > 1.5 * others.norm())) return std::nullopt;
  constexpr UpAxis kUp[] = {UpAxis::x, UpAxis::y, UpAxis::z};
  constexpr UpAxis kDown[] = {UpAxis::minus_x, UpAxis::minus_y, UpAxis::minus_z};
  return mean[axis] > 0 ? kUp[axis] : kDown[axis];
}

bool fits(double metres) {
  return metres >= kLeast && metres <= kMost;
}

double find_unit(const std::string& file, double tall, const WorldClues& clues, Notes& notes) {
  const double first = clues.given_unit.value_or(clues.stated_unit.value_or(clues.usual_unit));
  const char* who = clues.given_unit ? "given" : clues.stated_unit ? "stated" : "usual";
  if (fits(first * tall)) return first;
  std::optional<double> other;
  for (const double unit : {1.0, 0.01, 0.001, 0.0254, kCmuUnit}) {
    if (unit * tall >= kLikely[0] && unit * tall <= kLikely[1]) other = unit;
  }
  if (other && !clues.given_unit) {
    notes.push_back(fmt::format(
        "the unit of length is taken as {}, of which comes a person {:.2f} m tall; with {}, as "
        "is {}, it would be {:.3g} m (--unit says otherwise)",
        unit_name(*other), *other * tall, unit_name(first), who, first * tall));
    return *other;
  }
  if (!(first * tall >= kTooSmall && first * tall <= kTooTall)) {
    fail(
        "{}: the skeleton at rest is {:.3g} m tall with {:g} m to the file's unit of length; give "
        "the unit (--unit{})",
        file, first * tall, first, other ? " " + unit_name(*other) : "");
  }
  notes.push_back(fmt::format(
      "the person is {:.2f} m tall with the {} unit of length, {}; look whether --unit is right",
      first * tall, who, unit_name(first)));
  return first;
}

UpAxis find_up(const std::vector<const Pose3*>& poses, double tall, const WorldClues& clues,
               Notes& notes) {
  const UpAxis first = clues.given_up.value_or(clues.stated_up.value_or(clues.usual_up));
  const std::optional<UpAxis> seen = standing_along(poses, tall);
  if (!seen || *seen == first) return first;
  std::optional<UpAxis> rest;
  if (clues.rest != nullptr && height(*clues.rest) > 0.1 * tall) {
    rest = standing_along({clues.rest}, height(*clues.rest));
  }
  if (clues.given_up || (rest && rest != seen)) {
    notes.push_back(
        fmt::format("look at the vertical axis: {} is taken, and the head is along {} of the feet "
                    "(--up {}, unless the person lies)",
                    name(first), name(*seen), name(*seen)));
    return first;
  }
  notes.push_back(
      fmt::format("the vertical axis is taken as {}, along which the head is from the feet, not {} "
                  "(--up says otherwise)",
                  name(*seen), name(first)));
  return *seen;
}

}  // namespace

Vec3 z_up(const Vec3& p, UpAxis up) {
  switch (up) {
    case UpAxis::y:
      return y_up_to_z_up(p);
    case UpAxis::z:
      return p;
    case UpAxis::x:
      return {p.y(), p.z(), p.x()};
    case UpAxis::minus_y:
      return {p.x(), p.z(), -p.y()};
    case UpAxis::minus_z:
      return {p.x(), -p.y(), -p.z()};
    case UpAxis::minus_x:
      return {p.y(), -p.z(), -p.x()};
  }
  fail("no vertical axis of that number");
}

std::string unit_name(double metres_per_unit) {
  for (const LengthUnit& unit : kLengthUnits) {
    if (unit.metres == metres_per_unit) return unit.name;
  }
  return fmt::format("{:.6g} m", metres_per_unit);
}

std::optional<double> named_unit(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const LengthUnit& unit : kLengthUnits) {
    if (lower == unit.name) return unit.metres;
  }
  constexpr LengthUnit kWords[] = {
      {"met", 1}, {"centimet", 0.01}, {"millimet", 0.001}, {"inch", 0.0254}};
  for (const LengthUnit& unit : kWords) {
    if (lower.starts_with(unit.name)) return unit.metres;
  }
  return std::nullopt;
}

World find_world(const std::string& file, std::span<const Pose3> frames, const WorldClues& clues,
                 Notes& notes) {
  if (frames.empty()) fail("{}: expected frames, found none", file);
  const std::vector<const Pose3*> poses = some_of(frames);
  const double tall = median_height(poses);
  if (!(tall > 0)) {
    fail("{}: the bones have no length; look at the file in another program", file);
  }
  World world;
  world.metres_per_unit = find_unit(file, tall, clues, notes);
  world.up = find_up(poses, tall, clues, notes);
  return world;
}

void to_world(std::vector<Pose3>& frames, const World& world) {
  for (Pose3& pose : frames) {
    for (Vec3& p : pose) p = z_up(p * world.metres_per_unit, world.up);
  }
}

}  // namespace posetape::data

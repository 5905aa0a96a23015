#include "data/synthetic_body.hpp"

#include <Eigen/Geometry>

#include <algorithm>
#include <cmath>

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using Rotation = Eigen::Matrix3d;

Rotation about_x(double a) {
  return Eigen::AngleAxisd(a, Vec3::UnitX()).toRotationMatrix();
}
Rotation about_y(double a) {
  return Eigen::AngleAxisd(a, Vec3::UnitY()).toRotationMatrix();
}
Rotation about_z(double a) {
  return Eigen::AngleAxisd(a, Vec3::UnitZ()).toRotationMatrix();
}

Rotation rotation(const Turn& t) {
  return about_z(t.yaw) * about_y(t.roll) * about_x(-t.pitch);
}

// Grows like `distance` and levels off smoothly before `longest`, which no limb reaches: a limb
// that snaps straight would move its middle joint infinitely fast.
double soft_limit(double distance, double longest) {
  const double knee = 0.94 * longest;
  if (distance <= knee) return distance;
  const double range = 0.995 * longest - knee;
  return knee + range * std::tanh((distance - knee) / range);
}

struct Limb {
  Vec3 middle, end;
};

// Two bones from `start` towards `target`; the middle joint is on the side of `pole`.
Limb bend_to(const Vec3& start, const Vec3& target, double upper, double lower, const Vec3& pole) {
  const Vec3 way = target - start;
  const Vec3 direction = way.normalized();
  const double distance =
      std::max(soft_limit(way.norm(), upper + lower), 1.05 * std::abs(upper - lower) + 0.05);
  const double along = (upper * upper - lower * lower + distance * distance) / (2 * distance);
  const double aside = std::sqrt(std::max(upper * upper - along * along, 0.0));
  const Vec3 side = (pole - direction * direction.dot(pole)).normalized();
  return {start + along * direction + aside * side, start + distance * direction};
}

Limb pose_arm(const Body& body, const Arm& arm, const Rotation& chest, const Vec3& shoulder,
              double side) {
  const Rotation upper =
      chest * about_y(-side * arm.abduction) * about_x(arm.flexion) * about_z(-side * arm.twist);
  const Vec3 elbow = shoulder - upper * Vec3(0, 0, body.upper_arm);
  const Vec3 wrist = elbow - upper * about_x(arm.elbow) * Vec3(0, 0, body.forearm);
  if (arm.reach == 0) return {elbow, wrist};
  // The elbow's own side at no reach, down and outwards at full reach.
  const Vec3 down = chest * Vec3(side, -0.3, -1);
  const Vec3 own = (elbow - 0.5 * (shoulder + wrist)).normalized();
  return bend_to(shoulder, wrist + arm.reach * (arm.target - wrist), body.upper_arm, body.forearm,
                 own + arm.reach * (down.normalized() - own));
}

}  // namespace

Body random_body(Random& random) {
  const double size = random.uniform(0.92, 1.08);
  const double legs = size * random.uniform(0.96, 1.04);
  const double trunk = size * random.uniform(0.96, 1.04);
  const double arms = size * random.uniform(0.96, 1.04);
  Body body{};
  body.hip_half_width = size * 0.130 * random.uniform(0.94, 1.06);
  body.thigh = legs * 0.450 * random.uniform(0.98, 1.02);
  body.shin = legs * 0.440 * random.uniform(0.98, 1.02);
  body.lower_spine = trunk * 0.235;
  body.upper_spine = trunk * 0.255;
  body.neck = trunk * 0.115;
  body.head = size * 0.115;
  body.shoulder_half_width = size * 0.150 * random.uniform(0.93, 1.07);
  body.upper_arm = arms * 0.280 * random.uniform(0.98, 1.02);
  body.forearm = arms * 0.250 * random.uniform(0.98, 1.02);
  body.ankle_height = size * 0.080;
  body.tempo = random.uniform(0.87, 1.15);
  body.stride = random.uniform(0.88, 1.12);
  body.arm_swing = random.uniform(0.6, 1.4);
  body.elbow_bend = random.uniform(0.15, 0.45);
  body.lean = random.uniform(-0.02, 0.10);
  body.stance = size * random.uniform(0.09, 0.14);
  body.bounce = random.uniform(0.7, 1.3);
  return body;
}

Pose3 pose_body(const Body& body, const Controls& c) {
  using namespace joint;
  Pose3 pose;
  const Rotation pelvis = about_z(c.heading) * rotation(c.pelvis);
  const Rotation lower = pelvis * rotation(c.spine);
  const Rotation chest = lower * rotation(c.chest);
  const Rotation nape = chest * rotation(c.neck);
  pose[hip] = c.hip;
  pose[spine] = pose[hip] + lower * Vec3(0, 0, body.lower_spine);
  pose[thorax] = pose[spine] + chest * Vec3(0, 0, body.upper_spine);
  pose[neck] = pose[thorax] + nape * Vec3(0, 0.35, 1).normalized() * body.neck;
  pose[head] = pose[neck] + nape * rotation(c.head) * Vec3(0, -0.1, 1).normalized() * body.head;

  const Rotation facing = about_z(c.heading + 0.5 * c.pelvis.yaw);
  constexpr std::array<std::array<int, 3>, 2> kLegs{
      {{right_hip, right_knee, right_foot}, {left_hip, left_knee, left_foot}}};
  constexpr std::array<std::array<int, 3>, 2> kArms{
      {{right_shoulder, right_elbow, right_wrist}, {left_shoulder, left_elbow, left_wrist}}};
  for (int s = 0; s < 2; ++s) {
    const double side = s == 0 ? 1 : -1;
    const auto& leg = kLegs[s];
    pose[leg[0]] = pose[hip] + pelvis * Vec3(side * body.hip_half_width, 0, 0);
    const Limb bent = bend_to(pose[leg[0]], c.ankles[s], body.thigh, body.shin,
                              facing * Vec3(side * c.knees_out, 1, 0.2));
    pose[leg[1]] = bent.middle;
    pose[leg[2]] = bent.end;

    const auto& arm = kArms[s];
    const Vec3 out = Vec3(side, 0, -0.12).normalized() * body.shoulder_half_width;
    pose[arm[0]] = pose[thorax] + chest * out;
    const Limb hand = pose_arm(body, c.arms[s], chest, pose[arm[0]], side);
    pose[arm[1]] = hand.middle;
    pose[arm[2]] = hand.end;
  }
  return pose;
}

}  // namespace posetape::data

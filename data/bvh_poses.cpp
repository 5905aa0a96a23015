#include "data/bvh_poses.hpp"

#include <Eigen/Geometry>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr double kUnitsPerMetre = 100;
constexpr double kTiny = 1e-6;  // metres: a bone so short has no direction

// The direction of the bone that ends in the joint, at rest.
Vec3 rest_direction(int j) {
  using namespace joint;
  if (j == hip) return Vec3::Zero();
  if (j == right_hip || j >= right_shoulder) return {-1, 0, 0};
  if (j == left_hip || j >= left_shoulder) return {1, 0, 0};
  return {0, j >= spine ? 1.0 : -1.0, 0};
}

bool has_base(int j) {
  return j != joint::hip && (kParents[j] == joint::hip || kParents[j] == joint::thorax);
}

// Right-handed axes with x along `x` and y as near to `y` as that allows; `otherwise` where the two
// do not span a plane.
Eigen::Matrix3d frame(const Vec3& x, const Vec3& y, const Eigen::Matrix3d& otherwise) {
  const Vec3 z = x.cross(y);
  if (!(x.norm() > kTiny) || !(z.norm() > kTiny * kTiny)) return otherwise;
  Eigen::Matrix3d axes;
  axes.col(0) = x.normalized();
  axes.col(2) = z.normalized();
  axes.col(1) = axes.col(2).cross(axes.col(0));
  return axes;
}

// (z, x, y) in degrees with R = Rz Rx Ry; each as close to the frame's before as whole turns allow.
Vec3 euler_zxy(const Eigen::Matrix3d& r, const Vec3& before) {
  Vec3 angles;
  angles[1] = std::asin(std::clamp(r(2, 1), -1.0, 1.0));
  if (std::abs(r(2, 1)) < 1 - 1e-12) {
    angles[0] = std::atan2(-r(0, 1), r(1, 1));
    angles[2] = std::atan2(-r(2, 0), r(2, 2));
  } else {  // both turn about one axis: y keeps still
    angles[0] = std::atan2(r(1, 0), r(0, 0));
    angles[2] = 0;
  }
  angles *= 180 / std::numbers::pi;
  for (int i = 0; i < 3; ++i) angles[i] -= 360 * std::round((angles[i] - before[i]) / 360);
  return angles;
}

// Camera space to y up, in centimetres.
Vec3 point(const PoseArray& poses, int frame, int j) {
  const float* p = poses.frame(frame) + 3 * j;
  return kUnitsPerMetre * Vec3(p[0], -double{p[1]}, -double{p[2]});
}

class Writer {
 public:
  Writer(const PoseArray& poses, BvhBones bones) : poses_(poses), exact_(bones == BvhBones::exact) {
    lengths_.fill(0);
    for (int f = 0; f < poses.frames(); ++f) {
      for (int j = 1; j < kJoints; ++j) {
        lengths_[j] += (point(poses, f, j) - point(poses, f, kParents[j])).norm();
      }
    }
    for (double& length : lengths_) length /= poses.frames();
    add(joint::hip, -1);
    before_.assign(bvh_.joints.size(), Vec3::Zero());
  }

  Bvh run(double fps) {
    bvh_.frame_time = 1 / fps;
    for (int f = 0; f < poses_.frames(); ++f) {
      next_ = 0;
      pose_ = f;
      put(joint::hip, Eigen::Matrix3d::Identity());
    }
    return std::move(bvh_);
  }

 private:
  static constexpr std::array kPosition{BvhChannel::x_position, BvhChannel::y_position,
                                        BvhChannel::z_position};
  static constexpr std::array kRotation{BvhChannel::z_rotation, BvhChannel::x_rotation,
                                        BvhChannel::y_rotation};

  int add_joint(std::string name, int parent, const Vec3& offset, bool moves) {
    BvhJoint joint{std::move(name), parent, offset, {}};
    if (moves) joint.channels.assign(kPosition.begin(), kPosition.end());
    joint.channels.insert(joint.channels.end(), kRotation.begin(), kRotation.end());
    bvh_.joints.push_back(std::move(joint));
    return static_cast<int>(bvh_.joints.size()) - 1;
  }

  // The joint and what hangs on it. A joint's rotation carries its one child; where there are three
  // children, each has a base.
  void add(int j, int parent) {
    const std::string name(kJointNames[j]);
    if (has_base(j)) parent = add_joint(name + "Base", parent, Vec3::Zero(), false);
    const int mine =
        add_joint(name, parent, lengths_[j] * rest_direction(j), exact_ || j == joint::hip);
    bool leaf = true;
    for (int child = 1; child < kJoints; ++child) {
      if (kParents[child] != j) continue;
      leaf = false;
      add(child, mine);
    }
    if (!leaf) return;
    bvh_.joints.push_back({"", mine, 5 * rest_direction(j), {}});
  }

  Vec3 at(int j) const { return point(poses_, pose_, j); }
  Vec3 along(int from, int to) const { return at(to) - at(from); }

  // The turn of the pelvis or the chest.
  Eigen::Matrix3d body_turn(int j, const Eigen::Matrix3d& otherwise) const {
    using namespace joint;
    return j == hip ? frame(along(right_hip, left_hip), along(hip, spine), otherwise)
                    : frame(along(right_shoulder, left_shoulder), along(spine, thorax), otherwise);
  }

  // From the parent's turn to the one that has the child's bone where it is, by the shortest way.
  Eigen::Matrix3d bone_turn(int child, const Eigen::Matrix3d& parent) const {
    const Vec3 bone = along(kParents[child], child);
    if (!(bone.norm() > kTiny * kUnitsPerMetre)) return parent;
    const auto turn = Eigen::Quaterniond::FromTwoVectors(rest_direction(child),
                                                         parent.transpose() * bone.normalized());
    return parent * turn.toRotationMatrix();
  }

  void put_rotation(const Eigen::Matrix3d& parent, const Eigen::Matrix3d& turn) {
    before_[next_] = euler_zxy(parent.transpose() * turn, before_[next_]);
    for (const double angle : before_[next_]) bvh_.values.push_back(angle);
    ++next_;
  }

  // The values of the joint and of what hangs on it; `parent` is the turn of what it hangs on.
  void put(int j, Eigen::Matrix3d parent) {
    if (has_base(j)) {
      const Eigen::Matrix3d turn = bone_turn(j, parent);
      put_rotation(parent, turn);
      parent = turn;
    }
    if (j == joint::hip) {
      for (const double x : at(j)) bvh_.values.push_back(x);
    } else if (exact_) {
      const Vec3 offset = along(kParents[j], j).norm() * rest_direction(j);
      for (const double x : offset) bvh_.values.push_back(x);
    }
    std::vector<int> children;
    for (int child = 1; child < kJoints; ++child) {
      if (kParents[child] == j) children.push_back(child);
    }
    Eigen::Matrix3d turn = parent;
    if (children.size() == 1) turn = bone_turn(children[0], parent);
    if (children.size() > 1) turn = body_turn(j, parent);
    put_rotation(parent, turn);
    for (const int child : children) put(child, turn);
    if (children.empty()) ++next_;  // the End Site has no values
  }

  const PoseArray& poses_;
  bool exact_;
  std::array<double, kJoints> lengths_{};
  Bvh bvh_;
  std::vector<Vec3> before_;  // angles of the frame before, by joint
  std::size_t next_ = 0;      // the joint whose values come next
  int pose_ = 0;              // the frame
};

}  // namespace

Bvh bvh_of_poses(const PoseArray& poses, double fps, BvhBones bones) {
  if (poses.channels != 3 || poses.frames() < 1 || !(fps > 0)) {
    fail("BVH of {} frames with {} coordinates at {} fps; expected 3D poses, one at least",
         poses.frames(), poses.channels, fps);
  }
  return Writer(poses, bones).run(fps);
}

}  // namespace posetape::data

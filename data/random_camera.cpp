#include "data/random_camera.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <utility>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr double kRadians = std::numbers::pi / 180;
constexpr double kPersonHeight = 1.7;

struct Box {
  Vec3 low, high;
  Vec3 middle() const { return 0.5 * (low + high); }
};

Box box_of_hips(const Motion& motion) {
  Box box{motion.frames[0][0], motion.frames[0][0]};
  for (const Pose3& pose : motion.frames) {
    box.low = box.low.cwiseMin(pose[0]);
    box.high = box.high.cwiseMax(pose[0]);
  }
  return box;
}

// Distance of the closest joint in front of the image plane; negative behind it.
double nearest_joint(const Motion& motion, const Camera& camera) {
  double nearest = std::numeric_limits<double>::infinity();
  for (const Pose3& pose : motion.frames) {
    for (const Vec3& p : pose) nearest = std::min(nearest, world_to_camera(camera, p).z());
  }
  return nearest;
}

// Share of the joints inside of the image, in up to 50 frames of the motion.
double share_in_picture(const Motion& motion, const Camera& camera) {
  const std::size_t step = std::max<std::size_t>(1, motion.frames.size() / 50);
  int inside = 0, all = 0;
  for (std::size_t f = 0; f < motion.frames.size(); f += step) {
    for (const Vec3& p : motion.frames[f]) {
      const Vec2 pixel = project(camera, world_to_camera(camera, p));
      inside += pixel.minCoeff() >= 0 && pixel.x() < camera.size[0] && pixel.y() < camera.size[1];
      ++all;
    }
  }
  return static_cast<double>(inside) / all;
}

std::array<std::int32_t, 2> draw_size(const CameraRanges& ranges, Random& random) {
  constexpr std::array<std::array<std::int32_t, 2>, 4> kSizes{
      {{1920, 1080}, {1280, 720}, {1440, 1080}, {1000, 1000}}};
  std::array<std::int32_t, 2> size = kSizes[random.below(kSizes.size())];
  if (random.uniform() < ranges.portrait) std::swap(size[0], size[1]);
  return size;
}

// The lens in front of an image.
Camera draw_lens(const std::array<std::int32_t, 2>& image, const CameraRanges& ranges,
                 Random& random) {
  Camera camera;
  camera.id = "random";
  camera.size = image;
  const Vec2 size(camera.size[0], camera.size[1]);
  const double longer = size.maxCoeff();
  const double view = random.uniform(ranges.narrowest, ranges.widest) * kRadians;
  camera.focal = Vec2::Constant(longer / 2 / std::tan(view / 2));
  const double off = ranges.principal * longer;
  camera.centre = 0.5 * size + Vec2(random.uniform(-off, off), random.uniform(-off, off));
  const double corner = size.norm() / 2 / camera.focal.x();
  camera.radial[0] = random.uniform(ranges.barrel, ranges.pincushion) / (corner * corner);
  camera.tangential = {random.uniform(-0.001, 0.001), random.uniform(-0.001, 0.001)};
  camera.mixed = 2;
  camera.widest = 2;
  return camera;
}

Camera draw(const Box& hips, const std::array<std::int32_t, 2>& image, const CameraRanges& ranges,
            Random& random) {
  Camera camera = draw_lens(image, ranges, random);
  const Vec2 size(camera.size[0], camera.size[1]);
  const double share = random.uniform(ranges.smallest, ranges.largest);
  // How far away a standing person takes that share of the image's height.
  const double distance = kPersonHeight * camera.focal.y() / (share * size.y());
  const double azimuth = random.uniform(0, 2 * std::numbers::pi);
  const Vec3 middle = hips.middle();
  const double height = random.uniform(ranges.lowest, ranges.highest);
  camera.position = Vec3(middle.x() + distance * std::cos(azimuth),
                         middle.y() + distance * std::sin(azimuth), height);

  const Vec2 aim = ranges.aim * size.cwiseQuotient(camera.focal);
  const Vec3 towards = middle - camera.position;
  const double yaw =
      std::atan2(towards.y(), towards.x()) + std::atan(random.uniform(-aim.x(), aim.x()));
  const double pitch = std::atan2(towards.z(), towards.head<2>().norm()) +
                       std::atan(random.uniform(-aim.y(), aim.y()));
  const double most = random.uniform() < 0.5 ? std::min(5.0, ranges.roll) : ranges.roll;
  const double roll = random.uniform(-most, most) * kRadians;
  camera.orientation = looking(
      Vec3(std::cos(yaw) * std::cos(pitch), std::sin(yaw) * std::cos(pitch), std::sin(pitch)),
      roll);
  return camera;
}

double pitch_of(const Camera& camera) {
  return std::asin(std::clamp((camera.orientation * Vec3::UnitZ()).z(), -1.0, 1.0)) / kRadians;
}

}  // namespace

Camera random_camera(const Motion& motion, Random random, const CameraRanges& ranges) {
  if (motion.frames.empty()) fail("random_camera: {}/{} has no frame", motion.subject, motion.name);
  const Box hips = box_of_hips(motion);
  // Not drawn again, or few upright images would be left: they take in less.
  const auto image = draw_size(ranges, random);
  std::optional<Camera> best;
  double most = -1;
  for (int i = 0; i < 200; ++i) {
    const Camera camera = draw(hips, image, ranges, random);
    const double pitch = pitch_of(camera);
    if (pitch < ranges.pitch_down || pitch > ranges.pitch_up) continue;
    if (nearest_joint(motion, camera) < ranges.nearest) continue;
    const double share = share_in_picture(motion, camera);
    if (share >= ranges.in_picture) return camera;
    if (share > most) {
      most = share;
      best = camera;
    }
  }
  if (!best) {
    fail(
        "{}/{}: no random camera has the whole clip in front of it: its hip moves over {:.1f} x "
        "{:.1f} m; cut it into shorter clips, or film it with --cameras 0,1,2,3",
        motion.subject, motion.name, hips.high.x() - hips.low.x(), hips.high.y() - hips.low.y());
  }
  return *best;
}

}  // namespace posetape::data

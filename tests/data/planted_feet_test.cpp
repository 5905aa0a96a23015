#include "data/planted_feet.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/figures.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"
#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

using doctest::Approx;

constexpr double kFps = 50;
constexpr double kThigh = 0.45, kShin = 0.42;
constexpr double kStance = 0.65;  // of a foot's time

void set(PoseArray& poses, int frame, int j, const Vec3& place) {
  Eigen::Map<Eigen::Vector3f>(poses.frame(frame) + 3 * j) = place.cast<float>();
}

Vec3 get(const PoseArray& poses, int frame, int j) {
  return pose_at<3>(poses, frame).col(j);
}

// Where the knee is of a leg that walks along x, in the plane of x and y, bent forward.
Vec3 knee_of(const Vec3& hip, const Vec3& ankle) {
  const double d = (ankle - hip).norm();
  const double angle = std::acos((kThigh * kThigh + d * d - kShin * kShin) / (2 * kThigh * d)) +
                       std::atan2(ankle.x() - hip.x(), ankle.y() - hip.y());
  return hip + kThigh * Vec3(std::sin(angle), std::cos(angle), 0);
}

// A person who walks by, 5 m from the camera: half a second a step, each foot 65 % of the time on
// the ground, which is 0.78 m below the hip.
struct Walk {
  Sequence sequence;
  PoseArray poses;  // relative to joint 0
  Trajectory root;
  FeetDown down;
};

// `error(frame)` moves the left leg's ankle and knee in the poses, not in what the camera sees, and
// the right leg's the other way.
template <class Error>
Walk walk(int frames, Error error) {
  Walk w;
  w.poses.channels = 3;
  w.poses.values.assign(std::size_t(frames) * 3 * kJoints, 0.0F);
  for (int f = 0; f < frames; ++f) {
    const double t = f / kFps;
    const Vec3 root(t - 1.5, 0.2, 5);
    w.root.push_back(root);
    for (int j = 7; j < kJoints; ++j) {
      const double side = (j % 3 - 1) * 0.15, height = -0.06 * j;
      set(w.poses, f, j, Vec3(0.02 * j * std::sin(t + j), height, side));
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const double step = std::floor(t + 0.5 * double(i));
      const double phase = t + 0.5 * double(i) - step;
      const double swing = std::max(0.0, (phase - kStance) / (1 - kStance));
      const double moved = swing * swing * (3 - 2 * swing);
      const double lift = 0.12 * std::sin(std::numbers::pi * moved);
      w.down[i].push_back(phase < kStance);
      const Vec3 hip(0, 0, i == 0 ? -0.12 : 0.12);
      const Vec3 ankle(step - 0.5 * double(i) + kStance / 2 + moved - t, 0.78 - lift, hip.z());
      const int foot = kFeet[i];
      set(w.poses, f, foot - 2, hip);
      set(w.poses, f, foot - 1, knee_of(hip, ankle));
      set(w.poses, f, foot, ankle);
    }
  }
  w.sequence.name = "walk";
  w.sequence.image_size = {1920, 1080};
  w.sequence.intrinsics = {1500, 1500, 960, 540, 0, 0, 0, 0, 0};
  w.sequence.pose_2d.channels = 2;
  for (int f = 0; f < frames; ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const Vec3 place = w.root[std::size_t(f)] + get(w.poses, f, j);
      w.sequence.pose_2d.values.push_back(float(960 + 1500 * place.x() / place.z()));
      w.sequence.pose_2d.values.push_back(float(540 + 1500 * place.y() / place.z()));
    }
    for (const int foot : kFeet) {
      const Vec3 off = foot == joint::left_foot ? error(f) : Vec3(-error(f));
      set(w.poses, f, foot, get(w.poses, f, foot) + off);
      set(w.poses, f, foot - 1, get(w.poses, f, foot - 1) + 0.5 * off);
    }
  }
  return w;
}

Vec3 exact(int) {
  return Vec3::Zero();
}
// 4 cm at 2 Hz in depth, 2 cm at 3 Hz along the way.
Vec3 swaying(int f) {
  const double turn = 2 * std::numbers::pi * f / kFps;
  return {0.02 * std::sin(3 * turn), 0, 0.04 * std::sin(2 * turn)};
}

// The largest step, in mm, of a foot that is down in both frames.
double largest_slide(const PlantedFeet& planted) {
  double largest = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    for (int f = 0; f + 1 < planted.poses.frames(); ++f) {
      const auto at = std::size_t(f);
      if (!planted.down[i][at] || !planted.down[i][at + 1]) continue;
      const Vec3 step = planted.root[at + 1] + get(planted.poses, f + 1, kFeet[i]) -
                        planted.root[at] - get(planted.poses, f, kFeet[i]);
      largest = std::max(largest, 1000 * step.norm());
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("the way is where the lens sees the poses as they were seen") {
  Walk w = walk(40, exact);
  const Trajectory places = fit_trajectory(w.sequence, w.poses);
  for (std::size_t f = 0; f < places.size(); ++f) {
    CHECK((places[f] - w.root[f]).norm() == Approx(0).epsilon(1e-4));
  }
  // What the detector has not seen has next to no say.
  w.sequence.confidence.emplace(std::size_t(40) * kJoints, 1.0F);
  for (int f = 0; f < 40; ++f) {
    (*w.sequence.confidence)[std::size_t(f) * kJoints + joint::head] = 0;
    w.sequence.pose_2d.frame(f)[2 * joint::head] += 200;
  }
  CHECK((fit_trajectory(w.sequence, w.poses)[3] - w.root[3]).norm() < 0.005);
  Sequence dark = w.sequence;
  dark.intrinsics.reset();
  CHECK_THROWS_AS(fit_trajectory(dark, w.poses), Error);
  Sequence turned = w.sequence;
  for (float& v : turned.pose_2d.values) v = 1000 - v;
  CHECK_THROWS_AS(fit_trajectory(turned, w.poses), Error);
}

TEST_CASE("the smooth way is the most likely one") {
  const Walk w = walk(12, swaying);
  Random random(3, Stream::test);
  Trajectory places = w.root;
  for (Vec3& p : places) p += 0.1 * Vec3(random.normal(), random.normal(), random.normal());
  // The sum in trajectory.hpp.
  const auto cost = [&](const Trajectory& way) {
    double sum = 0;
    for (std::size_t f = 0; f < way.size(); ++f) {
      const Vec3 ray = places[f].normalized(), off = way[f] - places[f];
      const double along = off.dot(ray);
      sum += (off.squaredNorm() - along * along) / 1e-4 + along * along / 0.04;
      if (f + 2 < way.size()) {
        sum += (way[f] - 2 * way[f + 1] + way[f + 2]).squaredNorm() * std::pow(kFps, 4) / 25;
      }
      for (std::size_t i = 0; i < 2 && f + 1 < way.size(); ++i) {
        if (!w.down[i][f] || !w.down[i][f + 1]) continue;
        const Vec3 step = way[f + 1] + get(w.poses, int(f) + 1, kFeet[i]) - way[f] -
                          get(w.poses, int(f), kFeet[i]);
        sum += step.squaredNorm() * kFps * kFps / 0.0025;
      }
    }
    return sum;
  };
  const Trajectory way = smooth_trajectory(places, w.poses, w.down, kFps);
  const double least = cost(way);
  CHECK(least < 0.5 * cost(places));
  for (std::size_t f = 0; f < way.size(); ++f) {
    for (int c = 0; c < 3; ++c) {
      for (const double d : {-1e-5, 1e-5}) {
        Trajectory other = way;
        other[f][c] += d;
        CHECK(cost(other) > least);
      }
    }
  }
}

TEST_CASE("a leg reaches with bones of the same length") {
  const Leg leg{{0.1, 0, 0}, {0.1, 0.4, -0.2}, {0.1, 0.82, 0.05}};
  const double thigh = (leg.knee - leg.hip).norm(), shin = (leg.ankle - leg.knee).norm();
  for (const Vec3& to : {Vec3(0.3, 0.6, 0.2), Vec3(0.1, 0.82, 0.05), Vec3(-0.4, 0.3, 0)}) {
    const Leg moved = reach(leg, to, Vec3(0, 0, -1));
    CHECK((moved.ankle - to).norm() == Approx(0).epsilon(1e-12));
    CHECK((moved.knee - moved.hip).norm() == Approx(thigh));
    CHECK((moved.ankle - moved.knee).norm() == Approx(shin));
    // The knee stays on its side.
    CHECK(moved.knee.z() < std::max(0.0, to.z()));
  }
  const Leg still = reach(leg, leg.ankle, Vec3(0, 0, -1));
  CHECK((still.knee - leg.knee).norm() == Approx(0).epsilon(1e-9));
  const Leg far = reach(leg, Vec3(0.1, 3, 0), Vec3(0, 0, -1));
  CHECK((far.ankle - Vec3(0.1, thigh + shin, 0)).norm() == Approx(0).epsilon(1e-9));
  const Leg straight{{0, 0, 0}, {0, 0.4, 0}, {0, 0.8, 0}};
  const Leg bent = reach(straight, Vec3(0, 0.6, 0), Vec3(0, 0, -1));
  CHECK(bent.knee.z() == Approx(-std::sqrt(0.4 * 0.4 - 0.3 * 0.3)));
  CHECK(bent.knee.y() == Approx(0.3));
}

TEST_CASE("feet that slide over the ground stand, with bones as long and no jumps") {
  const Walk w = walk(150, swaying);
  const PlantedFeet planted = plant_feet(w.sequence, w.poses, kFps);
  CHECK(largest_slide(planted) < 1e-2);  // float32 at 5 m
  int agree = 0, frames_down = 0;
  double moved = 0, jump = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const int foot = kFeet[i];
    for (int f = 0; f < 150; ++f) {
      const auto at = std::size_t(f);
      agree += planted.down[i][at] == w.down[i][at] ? 1 : 0;
      frames_down += planted.down[i][at] ? 1 : 0;
      for (int j : {foot - 1, foot}) {
        const double before = (get(w.poses, f, j) - get(w.poses, f, j - 1)).norm();
        CHECK((get(planted.poses, f, j) - get(planted.poses, f, j - 1)).norm() == Approx(before));
      }
      const auto change = [&](int g) -> Vec3 {
        return get(planted.poses, g, foot) - get(w.poses, g, foot);
      };
      moved = std::max(moved, change(f).norm());
      if (f > 0) jump = std::max(jump, (change(f) - change(f - 1)).norm());
    }
  }
  CHECK(agree > 0.9 * 300);
  CHECK(frames_down > 0.4 * 300);
  CHECK(moved > 0.01);
  // A fade over 0.1 s is at most 1.5 / 6 of the way in a frame, beside what the feet swayed.
  CHECK(jump < moved / 4 + 0.006);
  // Nothing else moves.
  for (int f = 0; f < 150; ++f) {
    for (const int j : {0, 1, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}) {
      CHECK(get(planted.poses, f, j) == get(w.poses, f, j));
    }
  }
  CHECK(plant_feet(w.sequence, w.poses, kFps).poses.values == planted.poses.values);

  std::vector<float> root, down;
  for (std::size_t f = 0; f < 150; ++f) {
    for (const double v : planted.root[f]) root.push_back(float(v));
    for (const auto& foot : planted.down) down.push_back(foot[f] ? 1.0F : 0.0F);
  }
  CHECK(foot_slide(planted.poses, root, down) < 1e-2);
  CHECK(foot_slide(w.poses, root, down) > 2);  // what the way alone cannot mend
  const PoseArray placed = with_root(planted.poses, root);
  CHECK(
      (get(placed, 7, joint::head) - planted.root[7] - get(planted.poses, 7, joint::head)).norm() <
      1e-5);
}

TEST_CASE("poses that are right stay, at any rate") {
  const Walk w = walk(150, exact);
  const PlantedFeet planted = plant_feet(w.sequence, w.poses, kFps);
  for (int f = 0; f < 150; ++f) {
    CHECK((planted.root[std::size_t(f)] - w.root[std::size_t(f)]).norm() < 0.01);
    for (const int foot : kFeet) {
      CHECK((get(planted.poses, f, foot) - get(w.poses, f, foot)).norm() < 0.02);
    }
  }
  // Every second frame, and half of the rate.
  Walk half = w;
  half.poses.values.clear();
  half.sequence.pose_2d.values.clear();
  for (int f = 0; f < 150; f += 2) {
    half.poses.values.insert(half.poses.values.end(), w.poses.frame(f), w.poses.frame(f) + 51);
    const float* pixels = w.sequence.pose_2d.frame(f);
    auto& all = half.sequence.pose_2d.values;
    all.insert(all.end(), pixels, pixels + 34);
  }
  const PlantedFeet slow = plant_feet(half.sequence, half.poses, kFps / 2);
  CHECK(largest_slide(slow) < 1e-2);
  int agree = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t f = 0; f < 75; ++f) agree += slow.down[i][f] == w.down[i][2 * f] ? 1 : 0;
  }
  CHECK(agree > 0.9 * 150);
}

TEST_CASE("a foot that its leg does not reach is let go, and one that nobody saw is not down") {
  // The feet drift by a metre in depth, which no leg can give back.
  Walk w = walk(150, [](int f) -> Vec3 { return {0, 0, 0.02 * std::abs(f % 100 - 50) - 0.5}; });
  const PlantedFeet planted = plant_feet(w.sequence, w.poses, kFps);
  CHECK(largest_slide(planted) < 1e-2);
  w.sequence.confidence.emplace(std::size_t(150) * kJoints, 1.0F);
  for (int f = 0; f < 150; ++f) {
    (*w.sequence.confidence)[std::size_t(f) * kJoints + joint::left_foot] = 0;
  }
  const FeetDown down = feet_down(w.sequence, w.root, kFps);
  CHECK(std::ranges::count(down[0], true) > 60);
  CHECK(std::ranges::count(down[1], true) == 0);
}

TEST_CASE("clips of a few frames") {
  for (const int frames : {1, 2, 3, 6}) {
    const Walk w = walk(frames, swaying);
    const PlantedFeet planted = plant_feet(w.sequence, w.poses, kFps);
    CHECK(planted.poses.frames() == frames);
    CHECK(planted.root.size() == std::size_t(frames));
  }
}

TEST_CASE("the way and the contacts come back from a file, and belong to a result") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("a.npz");
  Dataset dataset;
  Sequence& s = dataset.sequences.emplace_back(test::random_sequence("S1/Walk/0", 4, 6));
  s.refined_3d = test::random_poses(4, 3, 0, 7);
  s.refined_root = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  s.feet_down = {0, 1, 1, 1, 1, 0, 0, 0};
  write_dataset(path, dataset);
  const Dataset found = read_dataset(path);
  CHECK(found.sequences[0].refined_root == s.refined_root);
  CHECK(found.sequences[0].feet_down == s.feet_down);
  s.refined_3d.reset();
  write_dataset(path, dataset);
  CHECK_MESSAGE_PARTS(read_dataset(path), "S1/Walk/0/refined_root", "without refined_3d");
  s.refined_3d = test::random_poses(4, 3, 0, 7);
  (*s.refined_root)[7] = INFINITY;
  write_dataset(path, dataset);
  CHECK_MESSAGE_PARTS(read_dataset(path), "S1/Walk/0/refined_root", "inf in frame 2");
  s.refined_root.reset();
  const std::vector<float> three(12, 0.0F);
  const NamedArray wrong{"S1/Walk/0/refined_root", npy_view<float>({3, 4}, three)};
  write_dataset(path, dataset, {.also = std::span(&wrong, 1)});
  CHECK_MESSAGE_PARTS(read_dataset(path), "expected shape (4, 3), found (3, 4)");
}

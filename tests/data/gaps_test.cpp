#include "data/gaps.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Coordinate c of joint j at frame f is 100 j + 10 f + c, so that interpolating gives it back.
PoseArray ramp(int frames, int channels) {
  PoseArray poses{channels, {}};
  for (int f = 0; f < frames; ++f) {
    for (int j = 0; j < kJoints; ++j) {
      for (int c = 0; c < channels; ++c) {
        poses.values.push_back(static_cast<float>(100 * j + 10 * f + c));
      }
    }
  }
  return poses;
}

void lose(PoseArray& poses, int joint, int begin, int end, float value = kNan) {
  for (int f = begin; f < end; ++f) poses.frame(f)[joint * poses.channels] = value;
}

}  // namespace

TEST_CASE("the longest gap is half a second in whole frames") {
  CHECK(longest_gap(50) == 25);
  CHECK(longest_gap(30) == 15);
  CHECK(longest_gap(29.97f) == 14);
  CHECK(longest_gap(25) == 12);
  CHECK(longest_gap(1) == 0);
  CHECK(longest_gap(1e30) == std::numeric_limits<int>::max());
}

TEST_CASE("gaps inside a clip are interpolated, those at its ends held") {
  for (const int channels : {2, 3}) {
    for (const float lost : {kNan, kInfinity, -kInfinity}) {
      const PoseArray whole = ramp(12, channels);
      PoseArray poses = whole;
      lose(poses, 4, 3, 6, lost);     // inside
      lose(poses, 9, 0, 2, lost);     // at the start
      lose(poses, 16, 11, 12, lost);  // at the end
      lose(poses, 4, 8, 9, lost);     // a second one of the same joint
      GapCount count;
      CHECK(fill_gaps(poses, 3, count).empty());
      CHECK(count.joints == 3 + 2 + 1 + 1);
      CHECK(count.frames == 3 + 2 + 1 + 1);
      PoseArray expected = whole;
      for (int c = 0; c < channels; ++c) {
        for (int f = 0; f < 2; ++f)
          expected.frame(f)[9 * channels + c] = whole.frame(2)[9 * channels + c];
        expected.frame(11)[16 * channels + c] = whole.frame(10)[16 * channels + c];
      }
      CHECK(poses.values == expected.values);
    }
  }
}

TEST_CASE("joints that are missing in one frame count as joints, the frame once") {
  PoseArray poses = ramp(5, 3);
  for (const int joint : {1, 2, 3}) lose(poses, joint, 2, 3);
  GapCount count;
  CHECK(fill_gaps(poses, 1, count).empty());
  CHECK(count.joints == 3);
  CHECK(count.frames == 1);
  CHECK(poses.values == ramp(5, 3).values);
}

TEST_CASE("where a gap is too long, or a joint is never there, nothing is changed") {
  const auto bits = [](const PoseArray& p) {
    const auto bytes = std::as_bytes(std::span(p.values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  PoseArray poses = ramp(10, 3);
  lose(poses, 5, 1, 2);
  lose(poses, 7, 2, 6);
  const auto before = bits(poses);
  GapCount count;
  const std::vector<Gap> gaps = fill_gaps(poses, 3, count);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].joint == 7);
  CHECK(gaps[0].begin == 2);
  CHECK(gaps[0].end == 6);
  CHECK(bits(poses) == before);
  CHECK(count.joints == 0);

  PoseArray never = ramp(3, 2);
  lose(never, 0, 0, 3);
  CHECK(fill_gaps(never, 25, count).size() == 1);
}

TEST_CASE("a message names joints, frames and how many gaps there are") {
  CHECK(gaps_text(std::vector<Gap>{{3, 7, 8}}) == "joint 3 (RFoot) is NaN or infinite in frame 7");
  CHECK(gaps_text(std::vector<Gap>{{3, 10, 61}, {6, 10, 61}, {6, 80, 90}}) ==
        "joints 3 (RFoot), 6 (LFoot) are NaN or infinite in frames 10 to 60 (51 frames), and there "
        "is 1 more");
  std::vector<Gap> all;
  for (int j = 0; j < kJoints; ++j) all.push_back({j, 0, 4});
  CHECK(gaps_text(all) == "all joints are NaN or infinite in frames 0 to 3 (4 frames)");
  all.resize(5);
  CHECK(gaps_text(all) ==
        "joint 0 (Hip) and 4 more are NaN or infinite in frames 0 to 3 (4 frames)");
}

#include "data/c3d.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "tests/data/files.hpp"
#include "tests/data/motion_poses.hpp"

namespace posetape::data {
namespace {

using test::largest_difference;
using test::motion_of;
using test::walking;

// C3D files as other systems write them, byte by byte.
struct Maker {
  C3dProcessor processor = C3dProcessor::intel;
  bool floats = true;
  int points = 2;
  std::vector<std::array<float, 4>> values;  // x, y, z and the fourth word, [F][points]
  int analog = 0;                            // words a frame, after the points
  float scale = 0.1f;
  int first = 1, last = 0;  // of the header; 0: as they are
  std::vector<std::string> labels = {"A", "B"};
  std::string unit = "mm", up = "+Z";
  std::string records = {};  // more of them

  std::string word(int value) const {
    const char low = static_cast<char>(value & 0xff), high = static_cast<char>(value >> 8 & 0xff);
    return processor == C3dProcessor::mips ? std::string{high, low} : std::string{low, high};
  }
  std::string real(float value) const {
    auto bits = std::bit_cast<std::uint32_t>(value);
    const auto at = [&](int i) { return static_cast<char>(bits >> (8 * i) & 0xff); };
    if (processor == C3dProcessor::mips) return {at(3), at(2), at(1), at(0)};
    if (processor == C3dProcessor::intel) return {at(0), at(1), at(2), at(3)};
    bits = value == 0 ? 0 : std::bit_cast<std::uint32_t>(value * 4);
    return {at(2), at(3), at(0), at(1)};
  }
  std::string record(int id, const std::string& name, const std::string& data) const {
    const std::string head{static_cast<char>(name.size()), static_cast<char>(id)};
    return head + name + word(static_cast<int>(data.size()) + 2) + data;
  }
  std::string group(int id, const std::string& name) const { return record(-id, name, {'\0'}); }
  std::string texts(int id, const std::string& name, const std::vector<std::string>& list) const {
    std::string data{'\xff', 2, 16, static_cast<char>(list.size())};
    for (std::string text : list) {
      text.resize(16, ' ');
      data += text;
    }
    return record(id, name, data + '\0');
  }
  std::string integer(int id, const std::string& name, int value) const {
    return record(id, name, std::string{2, 0} + word(value) + '\0');
  }
  std::string number(int id, const std::string& name, float value) const {
    return record(id, name, std::string{4, 0} + real(value) + '\0');
  }

  std::string make() const {
    const int frames = static_cast<int>(values.size()) / points;
    const float sign = floats ? -scale : scale;
    std::string parameters{1, 0x50, 0, static_cast<char>(processor)};
    // A parameter may come before its group.
    parameters += integer(1, "USED", points) + group(1, "POINT") + number(1, "SCALE", sign) +
                  number(1, "RATE", 100) + texts(1, "LABELS", labels) + texts(1, "UNITS", {unit}) +
                  texts(1, "Y_SCREEN", {up}) + records;
    parameters += std::string(2, '\0');
    const std::size_t blocks = (parameters.size() + 511) / 512;
    parameters.resize(512 * blocks, '\0');
    parameters[2] = static_cast<char>(blocks);
    std::string head = std::string{2, 0x50} + word(points) + word(analog) + word(first) +
                       word(last == 0 ? first + frames - 1 : last) + word(0) + real(sign) +
                       word(static_cast<int>(blocks) + 2) + word(analog > 0 ? 1 : 0) + real(100);
    head.resize(512, '\0');
    std::string data;
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (int c = 0; c < 4; ++c) {
        const float x = values[i][static_cast<std::size_t>(c)];
        data += floats ? real(x) : word(static_cast<int>(std::lround(c < 3 ? x / scale : x)));
      }
      if ((i + 1) % static_cast<std::size_t>(points) != 0) continue;
      for (int a = 0; a < analog; ++a) data += floats ? real(7) : word(7);
    }
    return head + parameters + data;
  }
};

const std::vector<std::array<float, 4>> kValues{
    {1.5f, -20.25f, 300, 0}, {0, 0, 0.5f, 5}, {-1.5f, 20, 301, 258}, {4, 5, 6, -1}};

TEST_CASE("c3d: integers and floats of Intel, DEC and MIPS are read alike") {
  for (const C3dProcessor processor :
       {C3dProcessor::intel, C3dProcessor::dec, C3dProcessor::mips}) {
    for (const bool floats : {true, false}) {
      for (const int analog : {0, 6}) {
        Maker maker{.processor = processor, .floats = floats, .values = kValues, .analog = analog};
        maker.scale = 0.25f;
        const C3d c3d = parse_c3d(maker.make(), "x.c3d");
        CHECK(c3d.processor == processor);
        CHECK(c3d.rate == 100);
        REQUIRE(c3d.frames == 2);
        REQUIRE(c3d.labels == std::vector<std::string>{"A", "B"});
        for (std::size_t i = 0; i < 3; ++i) {
          for (int c = 0; c < 3; ++c) {
            CHECK(c3d.points[i][c] == kValues[i][static_cast<std::size_t>(c)]);
          }
        }
        CHECK(c3d.residuals == std::vector<float>{0, 1.25f, 0.5f, -1});  // the low byte
        CHECK(c3d.points[3].array().isNaN().all());
        const MarkerTrack track = c3d_markers(c3d);
        CHECK(*track.metres_per_unit == 0.001);
        CHECK(*track.up == UpAxis::z);
      }
    }
  }
}

TEST_CASE("c3d: labels go on in LABELS2, and names may have several words") {
  Maker maker{.points = 300, .values = std::vector<std::array<float, 4>>(300, {1, 2, 3, 0})};
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back("left toe " + std::to_string(i));
  maker.labels.assign(names.begin(), names.begin() + 255);
  maker.records = maker.texts(1, "LABELS2", {names.begin() + 255, names.end()});
  const C3d c3d = parse_c3d(maker.make(), "x.c3d");
  CHECK(c3d.labels == names);
}

TEST_CASE("c3d: more frames than the header can count") {
  const std::size_t frames = 70'000;
  Maker maker{.points = 1, .values = std::vector<std::array<float, 4>>(frames, {1, 2, 3, 0})};
  maker.last = 65535;
  maker.labels = {"A"};
  const auto count = [&](const std::string& records) {
    maker.records = records;
    return parse_c3d(maker.make(), "x.c3d").frames;
  };
  CHECK(count("") == frames);  // as many as there are
  CHECK(count(maker.number(1, "LONG_FRAMES", 69'000)) == 69'000);
  const auto field = [&](const char* name, int low, int high) {
    return maker.record(2, name, std::string{2, 1, 2} + maker.word(low) + maker.word(high) + '\0');
  };
  CHECK(count(maker.group(2, "TRIAL") + field("ACTUAL_START_FIELD", 101, 0) +
              field("ACTUAL_END_FIELD", 69'100 - 65'536, 1)) == 69'000);
}

TEST_CASE("c3d: a file that is cut off or damaged is refused with what was expected") {
  const auto complains = [](const std::string& bytes, const char* about) {
    CHECK_THROWS_WITH_AS(parse_c3d(bytes, "bad.c3d"), doctest::Contains(about), Error);
  };
  const std::string good = Maker{.values = kValues}.make();
  complains("", "bad.c3d: expected a C3D file");
  complains(good.substr(0, 1024), "copy it again");
  complains(good.substr(0, good.size() - 8),
            "expected 2 frames of 2 points, and there are bytes for 1");
  std::string bytes = good;
  bytes[515] = 83;
  complains(bytes, "expected 84, 85 or 86 (Intel, DEC, MIPS) as the processor, found 83");
  Maker none{.values = kValues};
  none.scale = 0;
  complains(none.make(), "expected a scale of points other than 0");
}

TEST_CASE("c3d: poses come back as they were, with their confidence as the residual") {
  const PoseArray poses = walking();
  std::vector<float> confidence(static_cast<std::size_t>(poses.frames()) * kJoints, 1.0f);
  confidence[20] = 0.25f;
  confidence[21] = 0;
  const PoseClip clip{"P1/walk_1/0", 50, &poses, &confidence};
  for (const Unit unit : {Unit::m, Unit::mm}) {
    for (const Axes up : {Axes::y, Axes::z, Axes::camera}) {
      const std::string bytes = format_c3d(clip, {.unit = unit, .up = up, .field = "refined_3d"});
      const C3d c3d = parse_c3d(bytes, "walk.c3d");
      CHECK(c3d.find("POSETAPE", "SEQUENCE")->texts[0] == "P1/walk_1/0");
      CHECK(c3d.residuals[20] == doctest::Approx(0.75));
      CHECK(c3d.residuals[21] == doctest::Approx(1));
      CHECK(c3d.residuals[22] == 0);
      const Motion motion = motion_of(c3d_markers(c3d), {});
      CHECK(motion.fps == 50);
      CHECK(largest_difference(motion, poses) < 1e-6);
      REQUIRE(motion.notes.size() == 1);
      CHECK(motion.notes[0].starts_with("lengths are read as " + std::string(name(unit))));
    }
  }
  PoseArray lengthy{3, {}};
  for (int i = 0; i < 700; ++i) {
    lengthy.values.insert(lengthy.values.end(), poses.values.begin(), poses.values.end());
  }
  const PoseClip longer{"x", 50, &lengthy, nullptr};
  const C3d c3d = parse_c3d(format_c3d(longer, {.unit = Unit::mm, .up = Axes::z}), "long.c3d");
  CHECK(c3d.frames == 70'000);
  CHECK(c3d.residuals[3] == 0);
}

TEST_CASE("c3d: parameters say what a file of ours has, and where") {
  const PoseArray walk = walking();
  PoseArray poses{3, {}};
  while (poses.frames() < 65'535) {
    poses.values.insert(poses.values.end(), walk.values.begin(), walk.values.end());
  }
  poses.values.resize(65'535 * 3 * kJoints);
  const std::string bytes =
      format_c3d({"x", 50, &poses, nullptr}, {.unit = Unit::mm, .up = Axes::z});
  const C3d c3d = parse_c3d(bytes, "x.c3d");
  using V = std::vector<double>;
  CHECK(c3d.find("POINT", "FRAMES")->numbers == V{-1});  // 65,535 in a word
  CHECK(c3d.find("POINT", "LONG_FRAMES") == nullptr);
  // A header's block, the parameters', then the data, counted from 1.
  CHECK(c3d.find("POINT", "DATA_START")->numbers == V{2.0 + bytes[512 + 2]});
  CHECK(c3d.find("FORCE_PLATFORM", "ZERO")->numbers == V{1, 0});
  CHECK(c3d.find("TRIAL", "ACTUAL_START_FIELD")->numbers == V{1, 0});
  CHECK(c3d.find("TRIAL", "ACTUAL_START_FIELD")->dimensions == std::vector{2});
  CHECK(c3d.find("TRIAL", "ACTUAL_END_FIELD")->numbers == V{-1, 0});
}

TEST_CASE("c3d: a deviation is the nearest residual that there is") {
  const PoseArray poses = walking();
  PoseArray std{3, std::vector<float>(poses.values.size(), 0.0f)};
  for (std::size_t i = 0; i < 20; ++i) std.values[3 * i] = 0.0017f * static_cast<float>(i);
  std.values[3 * 20 + 1] = 2;
  PoseClip clip{"x", 50, &poses, nullptr};
  clip.std = &std;
  const C3d c3d = parse_c3d(format_c3d(clip, {.unit = Unit::m, .up = Axes::z}), "x.c3d");
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(c3d.residuals[i] == doctest::Approx(0.002 * std::round(0.85 * double(i))));
  }
  CHECK(c3d.residuals[20] == doctest::Approx(0.510));
}

// The 17 joints of a few frames under marker names, `lost` of which were not seen.
MarkerTrack track_of(const std::vector<std::pair<std::size_t, int>>& lost) {
  const PoseArray poses = walking();
  MarkerTrack track = c3d_markers(parse_c3d(
      format_c3d({"x", 50, &poses, nullptr}, {.unit = Unit::mm, .up = Axes::z}), "x.c3d"));
  for (const auto& [frame, joint] : lost) {
    track.points[frame * kJoints + static_cast<std::size_t>(joint)] = kMissing;
  }
  return track;
}

TEST_CASE("markers: short gaps are interpolated, long ones split the motion") {
  const Motion whole = motion_of(track_of({}), {});
  const Motion bridged = motion_of(track_of({{5, joint::head}, {6, joint::head}}), {});
  REQUIRE(bridged.frames.size() == 100);
  const Vec3 line = whole.frames[4][joint::head] * (2.0 / 3) + whole.frames[7][joint::head] / 3.0;
  CHECK((bridged.frames[5][joint::head] - line).norm() < 1e-9);
  CHECK(bridged.notes[0].starts_with("2 missing joints in gaps of at most 12 frames"));
  std::vector<std::pair<std::size_t, int>> lost;
  for (std::size_t f = 20; f < 40; ++f) lost.emplace_back(f, joint::left_wrist);
  const std::vector<Motion> one = marker_motions(track_of(lost), {});
  REQUIRE(one.size() == 1);  // 20 frames are less than half a second
  CHECK(one[0].name == "x");
  REQUIRE(one[0].frames.size() == 60);
  CHECK(one[0].frames[0][joint::head] == whole.frames[40][joint::head]);
  CHECK(one[0].notes[0].starts_with(
      "60 of 100 frames are taken, the stretches without gaps of more than 12 frames: 41 to 100; "
      "most often LWrist is missing"));
  lost.clear();
  for (std::size_t f = 30; f < 50; ++f) lost.emplace_back(f, joint::left_wrist);
  const std::vector<Motion> two = marker_motions(track_of(lost), {});
  REQUIRE(two.size() == 2);
  CHECK(two[0].name == "x");
  CHECK(two[1].name == "x_2");
  CHECK(two[0].frames.size() == 30);
  REQUIRE(two[1].frames.size() == 50);
  CHECK(two[0].frames[29][joint::head] == whole.frames[29][joint::head]);
  CHECK(two[1].frames[0][joint::head] == whole.frames[50][joint::head]);
  CHECK(
      two[0].notes[0].starts_with("80 of 100 frames are taken, the stretches without gaps of "
                                  "more than 12 frames: 1 to 30, 51 to 100"));
  for (std::size_t f = 0; f < 100; ++f) lost.emplace_back(f, joint::left_wrist);
  CHECK_THROWS_WITH_AS(motion_of(track_of(lost), {}), doctest::Contains("LWrist is missing"),
                       Error);
}

TEST_CASE("markers: joints are means of markers, as the user says") {
  MarkerTrack track = track_of({});
  for (std::string& label : track.labels) label = "S01:m" + label;
  CHECK_THROWS_WITH_AS(motion_of(track, {}), doctest::Contains("--markers"), Error);
  std::string text;
  for (const std::string_view name : kJointNames) text += fmt::format("{0} = m{0}\n", name);
  MotionOptions options;
  options.joints = parse_joints_map(text, "my.map");
  const Motion motion = motion_of(track, options);
  CHECK(motion.frames[3][joint::head] == motion_of(track_of({}), {}).frames[3][joint::head]);
  text.replace(text.find("Spine = mSpine"), 14, "Spine = mHip, mThorax");
  options.joints = parse_joints_map(text, "my.map");
  const Pose3 pose = motion_of(track, options).frames[3];
  CHECK((pose[joint::spine] - 0.5 * (pose[joint::hip] + pose[joint::thorax])).norm() < 1e-12);
}

TEST_CASE(
    "markers: 0, 0, 0 now and then means not seen, and a unit that can't be is not believed") {
  MarkerTrack track = track_of({});
  track.points[7 * kJoints + joint::head].setZero();
  CHECK(motion_of(track, {}).notes[0].starts_with("1 missing joints"));
  track = track_of({});
  track.metres_per_unit = 1;  // says metres, and is millimetres
  track.up = UpAxis::y;       // says y, and is z
  const Motion motion = motion_of(track, {});
  REQUIRE(motion.notes.size() == 3);
  CHECK(motion.notes[0].starts_with("the unit of length is taken as mm"));
  CHECK(motion.notes[1].starts_with("the vertical axis is taken as z"));
  CHECK(motion.notes[2] == "lengths are read as mm, z as the vertical");
  CHECK(motion.frames[0] == motion_of(track_of({}), {}).frames[0]);
}

}  // namespace
}  // namespace posetape::data

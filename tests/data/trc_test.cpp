#include "data/trc.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "data/joint_names.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "tests/data/motion_poses.hpp"

namespace posetape::data {
namespace {

using test::largest_difference;
using test::motion_of;
using test::walking;

const std::string kHead =
    "PathFileType\t4\t(X/Y/Z)\ta.trc\r\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
    "OrigNumFrames\r\n60\t60\t2\t2\tmm\t60\t1\t2\r\n"
    "Frame#\tTime\tLeft Toe\t\t\tRHip\t\t\t\r\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\r\n\r\n";

TEST_CASE("trc: cells between tabs, empty ones were not seen") {
  const MarkerTrack track =
      parse_trc("\xef\xbb\xbf" + kHead + "1\t0.0\t1.5\t-2\t+3e1\t4\t5\t6\t\r\n" +
                    "2\t0.016667\t\t\t\tNaN\t-nan(ind)\t6\r\n",
                "a.trc");
  CHECK(track.labels == std::vector<std::string>{"Left Toe", "RHip"});
  CHECK(track.frames == 2);
  CHECK(track.fps == 60);
  CHECK(*track.metres_per_unit == 0.001);
  CHECK(track.at(0, 0) == Vec3(1.5, -2, 30));
  CHECK(track.at(0, 1) == Vec3(4, 5, 6));
  CHECK(track.at(1, 0).array().isNaN().all());
  CHECK(track.at(1, 1).array().isNaN().all());
  CHECK(track.notes.empty());
}

TEST_CASE("trc: the table counts where the header says otherwise") {
  std::string text = kHead;
  text.replace(text.find("60\t60\t2"), 7, "30\t30\t9");
  const MarkerTrack track =
      parse_trc(text + "1\t0\t1\t2\t3\t4\t5\t6\n2\t0.01\t1\t2\t3\t4\t5\t6\n", "a.trc");
  CHECK(track.fps == 100);
  REQUIRE(track.notes.size() == 2);
  CHECK(track.notes[0] == "2 frames are there; the header says 9");
  CHECK(track.notes[1].find("100 frames a second, which is taken; the header says 30") !=
        std::string::npos);
}

TEST_CASE("trc: a table without tabs, and with names side by side") {
  const MarkerTrack track = parse_trc(
      "PathFileType 4 (X/Y/Z) a.trc\nDataRate NumFrames NumMarkers Units\n25 1 2 Meters\n"
      "Frame# Time A B\nX1 Y1 Z1 X2 Y2 Z2\n1 0.00 1 2 3 4 5 6\n",
      "a.trc");
  CHECK(track.labels == std::vector<std::string>{"A", "B"});
  CHECK(track.at(0, 1) == Vec3(4, 5, 6));
  CHECK(*track.metres_per_unit == 1);
}

TEST_CASE("trc: a broken file is refused with file, line and what was expected") {
  const auto complains = [](const std::string& text, const char* about) {
    CHECK_THROWS_WITH_AS(parse_trc(text, "bad.trc"), doctest::Contains(about), Error);
  };
  complains("", "bad.trc:0: expected 'PathFileType'");
  complains("HIERARCHY\n", "bad.trc:1: expected 'PathFileType', found 'HIERARCHY'");
  complains(kHead, "bad.trc: expected frames after the header, found none");
  complains(kHead + "1\t0\t1\t2\t3\t4\t5\t6O\n",
            "bad.trc:7: expected a number for RHip, found '6O'");
  complains(kHead + "1\t0\t1\t2\t3\t4\t5\t6\t7\n", "expected 8 columns for 2 markers, found '7'");
  complains(kHead.substr(0, kHead.find("Frame#")), "expected 'Frame#', 'Time'");
}

TEST_CASE("trc: poses come back as they were") {
  const PoseArray poses = walking();
  const PoseClip clip{"P1/walk_1/0", 50, &poses, nullptr};
  for (const Unit unit : {Unit::m, Unit::cm, Unit::mm}) {
    for (const Axes up : {Axes::y, Axes::z}) {
      const std::string text = test::written(trc_format, {clip}, {.unit = unit, .up = up});
      CHECK(text.starts_with("PathFileType\t4\t(X/Y/Z)\tP1_walk_1_0.trc\n"));
      const Motion motion = motion_of(parse_trc(text, "walk.trc"), {});
      CHECK(motion.fps == 50);
      CHECK(largest_difference(motion, poses) < 1e-6);
    }
  }
}

TEST_CASE("trc: the joints of pose estimators are known by their names") {
  // Pose2Sim's, without hip, spine and head of our own.
  const PoseArray poses = walking();
  MarkerTrack track = parse_trc(
      format_trc({"x", 50, &poses, nullptr}, {.unit = Unit::m, .up = Axes::y}, "x.trc"), "x.trc");
  for (std::string& label : track.labels) {
    if (label == "RFoot") label = "RAnkle";
    if (label == "LFoot") label = "LAnkle";
    if (label == "Neck") label = "Nose";
    if (label == "Thorax") label = "Neck";
    if (label == "Hip" || label == "Spine") label = "RBigToe";
  }
  const Motion motion = motion_of(track, {});
  const Pose3& pose = motion.frames[0];
  const Vec3 hip = 0.5 * (pose[joint::right_hip] + pose[joint::left_hip]);
  CHECK((pose[joint::hip] - hip).norm() < 1e-9);
  CHECK((pose[joint::spine] - 0.5 * (hip + pose[joint::thorax])).norm() < 1e-9);
}

TEST_CASE("markers: a middle of the hips that has a name is one, and the spine is midway to it") {
  std::vector<NamedPoint> markers;
  for (const char* name :
       {"Hip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Nose", "Head", "LShoulder",
        "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"}) {
    markers.push_back({.name = name});
  }
  const JointPoints found = joints_of_markers("x.trc", markers, {}, "--joints-map").points;
  CHECK(found[joint::hip] == std::vector{0});
  CHECK(found[joint::thorax] == std::vector{9, 12});
  CHECK(found[joint::spine] == std::vector{0, 9, 0, 12});
}

}  // namespace
}  // namespace posetape::data

#include "data/keypoints.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/joint_orders.hpp"
#include "data/keypoint_formats.hpp"
#include "data/missing_joints.hpp"
#include "data/people.hpp"
#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// Frames in which keypoint k is at (100 + k + 10 f, 1000 + 2 k + 20 f).
KeypointTrack numbered(int keypoints, int frames = 1) {
  KeypointTrack track{keypoints, 2, {}, {}};
  for (int f = 0; f < frames; ++f) {
    for (int k = 0; k < keypoints; ++k) {
      track.values.push_back(static_cast<float>(100 + k + 10 * f));
      track.values.push_back(static_cast<float>(1000 + 2 * k + 20 * f));
      track.confidence.push_back(1);
    }
  }
  return track;
}

void lose(KeypointTrack& track, int frame, int keypoint) {
  const std::size_t at = std::size_t(frame * track.keypoints + keypoint);
  track.values[2 * at] = track.values[2 * at + 1] = kNone;
  track.confidence[at] = 0;
}

// Which keypoint, or mean of keypoints, each joint is.
std::vector<float> sources(KeypointLayout layout) {
  FillReport report;
  const JointTrack joints = to_joints(layout, numbered(keypoint_count(layout)), 25, "here", report);
  std::vector<float> result;
  for (int j = 0; j < kJoints; ++j) {
    const float k = joints.poses.values[std::size_t(2 * j)] - 100;
    CHECK(joints.poses.values[std::size_t(2 * j + 1)] == doctest::Approx(1000 + 2 * k));
    CHECK(joints.confidence[std::size_t(j)] == 1);
    result.push_back(k);
  }
  return result;
}

// A person of a width of 10 and a height of 100 in a frame.
Detection person(std::int64_t frame, float x, float y, std::int64_t id = -1, float size = 1) {
  return {frame, id, {x, y, x + 10 * size, y, x, y + 100 * size}, {}};
}

KeypointClip clip_of(std::vector<Detection> detections) {
  KeypointClip clip;
  clip.name = "video/clip/0";
  clip.keypoints = 3;
  clip.detections = std::move(detections);
  finish(clip, false, "here");
  return clip;
}

}  // namespace

TEST_CASE("keypoints of each layout become the joints of Human3.6M") {
  using V = std::vector<float>;
  CHECK(sources(KeypointLayout::h36m) ==
        V{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  const V coco{11.5f, 12, 14, 16, 11, 13, 15, 8.5f, 5.5f, 0, 1.5f, 5, 7, 9, 6, 8, 10};
  CHECK(sources(KeypointLayout::coco) == coco);
  CHECK(sources(KeypointLayout::coco_wholebody) == coco);
  CHECK(sources(KeypointLayout::halpe) ==
        V{19, 12, 14, 16, 11, 13, 15, 18.5f, 18, 0, 17, 5, 7, 9, 6, 8, 10});
  CHECK(sources(KeypointLayout::openpose) ==
        V{8, 9, 10, 11, 12, 13, 14, 4.5f, 1, 0, 15.5f, 5, 6, 7, 2, 3, 4});
  CHECK(sources(KeypointLayout::body_25b) ==
        V{11.5f, 12, 14, 16, 11, 13, 15, 8.5f, 5.5f, 0, 18, 5, 7, 9, 6, 8, 10});
  CHECK(sources(KeypointLayout::coco_18) ==
        V{9.5f, 8, 9, 10, 11, 12, 13, 5.25f, 1, 0, 14.5f, 5, 6, 7, 2, 3, 4});
  CHECK(sources(KeypointLayout::mpi_inf_3dhp) ==
        V{14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4});
  CHECK(sources(KeypointLayout::mediapipe) ==
        V{23.5f, 24, 26, 28, 23, 25, 27, 17.5f, 11.5f, 0, 3.5f, 11, 13, 15, 12, 14, 16});
  // As they are mended where they stand in our place.
  for (const JointOrderRule& rule : other_joint_orders()) {
    const auto layout = rule.name == "COCO"           ? KeypointLayout::coco
                        : rule.name == "MPI-INF-3DHP" ? KeypointLayout::mpi_inf_3dhp
                                                      : KeypointLayout::h36m;
    V order;
    for (const JointSource& s : rule.sources) {
      int sum = 0;
      for (int i = 0; i < s.count; ++i) sum += s.joints[std::size_t(i)];
      order.push_back(static_cast<float>(sum) / static_cast<float>(s.count));
    }
    if (layout != KeypointLayout::h36m) CHECK(order == sources(layout));
    std::ranges::sort(order);
    CHECK(std::ranges::adjacent_find(order) == order.end());
  }
  // The head lies beyond the skull (15), seen from the neck (12).
  CHECK(sources(KeypointLayout::smpl)[10] == doctest::Approx(15 + 1.2f * 3));
  CHECK(sources(KeypointLayout::smpl)[9] == 15);
  CHECK_MESSAGE_PARTS(parse<KeypointLayout>("kinect"), "\"kinect\"", "halpe");
  CHECK(layouts_with(25) == std::vector{KeypointLayout::openpose, KeypointLayout::body_25b});
  CHECK(layouts_with(17) ==
        std::vector{KeypointLayout::h36m, KeypointLayout::coco, KeypointLayout::mpi_inf_3dhp});
  CHECK(layouts_with(136) == std::vector{KeypointLayout::halpe});
  CHECK(layouts_with(14).empty());
}

TEST_CASE(
    "a keypoint that is missing for a short time is interpolated in all joints that need it") {
  KeypointTrack track = numbered(17, 6);
  lose(track, 0, 9);   // the left wrist at the start: as in the first frame that has it
  lose(track, 2, 11);  // the left hip, so hip and spine, too
  lose(track, 3, 11);
  lose(track, 5, 16);  // the right ankle at the end
  FillReport report;
  const JointTrack joints = to_joints(KeypointLayout::coco, track, 3, "here", report);
  CHECK(report.interpolated == 1 + 2 * 3 + 1);
  CHECK(report.replaced + report.guessed == 0);
  const auto x = [&](int f, int j) { return joints.poses.frame(f)[2 * j]; };
  CHECK(x(0, joint::left_wrist) == x(1, joint::left_wrist));
  CHECK(x(5, joint::right_foot) == x(4, joint::right_foot));
  for (const int j : {joint::hip, joint::left_hip, joint::spine, joint::right_hip}) {
    for (int f = 1; f < 6; ++f) CHECK(x(f, j) == doctest::Approx(x(0, j) + 10.0 * f));
  }
  CHECK(joints.confidence[2 * kJoints + joint::hip] == 0);
  CHECK(joints.confidence[2 * kJoints + joint::right_hip] == 1);
}

TEST_CASE("a joint that is missing for long is guessed from the joint beside it, and marked") {
  KeypointTrack track = numbered(17, 20);
  for (int f = 5; f < 15; ++f) lose(track, f, 9);  // the left wrist, while the body moves on
  FillReport report;
  const JointTrack joints = to_joints(KeypointLayout::coco, track, 3, "here", report);
  CHECK(report.guessed == 10);
  CHECK(report.never_seen.empty());
  for (int f = 0; f < 20; ++f) {
    CHECK(joints.poses.frame(f)[2 * joint::left_wrist] == doctest::Approx(109 + 10 * f));
    const bool seen = f < 5 || f >= 15;
    CHECK(joints.confidence[std::size_t(f * kJoints + joint::left_wrist)] == (seen ? 1 : 0));
  }
}

TEST_CASE("a joint that is never seen does not sink the clip") {
  KeypointTrack track = numbered(17, 4);
  for (int f = 0; f < 4; ++f) {
    for (int k = 0; k < 3; ++k) lose(track, f, k);    // nose and eyes: the head from the ears
    for (int k = 13; k < 17; ++k) lose(track, f, k);  // no legs
  }
  FillReport report;
  const JointTrack joints = to_joints(KeypointLayout::coco, track, 3, "here", report);
  CHECK(report.replaced == 8);
  CHECK(joints.poses.frame(0)[2 * joint::head] == doctest::Approx(103.5));
  CHECK(joint_names(report.never_seen) == "RKnee, RFoot, LKnee, LFoot");
  for (const float v : joints.poses.values) CHECK(std::isfinite(v));
  for (int k = 3; k < 13; ++k) {
    for (int f = 0; f < 4; ++f) lose(track, f, k);
  }
  CHECK_MESSAGE_PARTS(to_joints(KeypointLayout::coco, track, 3, "here", report), "here", "none");
}

TEST_CASE("what was filled in is said, and nothing where nothing was") {
  std::vector<std::string> notes;
  note_filled("walk", 10, {}, notes);
  CHECK(notes.empty());
  note_filled("walk", 10, {.interpolated = 3, .guessed = 20, .never_seen = {2, 3}}, notes);
  CHECK(notes ==
        std::vector<std::string>{"walk: interpolated 3 of 170 joints",
                                 "walk: guessed 20 of 170 joints from the body (confidence 0)",
                                 "walk: never seen: RKnee, RFoot"});
}

TEST_CASE("people are followed by where they are, the largest first") {
  std::vector<Detection> detections;
  for (int f = 0; f < 10; ++f) {
    const auto x = static_cast<float>(20 * f);
    detections.push_back(person(f, 500 - x, 80, -1, 0.9f));  // they cross
    detections.push_back(person(f, x, 0));
  }
  const auto people = find_people(clip_of(detections), 5);
  CHECK(people.size() == 2);
  CHECK(people[0].detections.size() == 10);
  for (const std::size_t i : people[0].detections) CHECK(i % 2 == 1);

  // Somebody comes back after a while, of the same size, and somebody small is somebody else.
  const auto back =
      find_people(clip_of({person(0, 0, 0), person(50, 300, 0), person(50, 0, 0, -1, 0.3f)}), 5);
  CHECK(back.size() == 2);
  CHECK(back[0].detections.size() == 2);

  // The tool's numbers count more than places.
  const auto numbered_people = find_people(
      clip_of({person(0, 0, 0, 7), person(0, 500, 0, 3), person(1, 500, 0, 7), person(1, 0, 0, 3)}),
      5);
  CHECK(numbered_people.size() == 2);
  CHECK(numbered_people[0].id == 3);
}

TEST_CASE("a format of one person has one, and detections without keypoints are nobody's") {
  const auto silent = [](std::int64_t frame, std::int64_t id) {
    return Detection{frame, id, std::vector<float>(6, kNone), {}};
  };
  KeypointClip clip = clip_of({person(0, 0, 0), silent(1, -1), person(50, 300, 0, -1, 0.3f)});
  CHECK(find_people(clip, 5).size() == 2);
  clip.one_person = true;
  const auto one = find_people(clip, 5);
  CHECK(one.size() == 1);
  CHECK(one[0].detections == std::vector<std::size_t>{0, 2});
  CHECK(find_people(clip_of({person(0, 0, 0, 3), silent(0, 4), silent(1, 3)}), 5).size() == 1);
  for (const bool alone : {false, true}) {
    clip = clip_of({silent(0, -1), silent(1, -1)});
    clip.one_person = alone;
    CHECK(find_people(clip, 5).empty());
  }
  // A keypoint at the origin is none in the image; a confidence below 0 is for who refuses it.
  clip = clip_of({{0, -1, std::vector<float>(6, 0.0f), {}}, person(1, 5, 5), person(2, 5, 5)});
  clip.detections[1].confidence = {0, 0, kNone};
  clip.detections[2].confidence = {0, -2, 0};
  clip.one_person = true;
  CHECK(find_people(clip, 5).at(0).detections == std::vector<std::size_t>{2});
}

TEST_CASE("JSON of Python, and values one after another, are read; other text says where") {
  CHECK(parse_json("[NaN, -Infinity, 1e5, \"NaN\"]", "f") == Json({nullptr, nullptr, 1e5, "NaN"}));
  CHECK(parse_json("\xef\xbb\xbf{\"a\": 1}\n{\"a\": 2}\n", "f").size() == 2);
  CHECK(std::isnan(number_in(parse_json("[null]", "f")[0], "f")));
  CHECK_MESSAGE_PARTS(parse_json("{\"a\":\n[1, 2", "f"), "f: line 2", "ends before");
  CHECK_MESSAGE_PARTS(parse_json("{\"a\":\n[1 2]}", "f"), "f: line 2", "not JSON");
  CHECK_MESSAGE_PARTS(parse_json(std::string(1000, '['), "f"), "f: values nest deeper");
  CHECK_MESSAGE_PARTS(parse_json("\"\\", "f"), "f: line 1");
  CHECK_MESSAGE_PARTS(numbers_in(parse_json("[1, \"a\"]", "f"), "f"), "f", "found string");
}

TEST_CASE("files are in the order of their numbers, and names are of any language") {
  CHECK(number_in_name("video_000000000012_keypoints") == 12);
  CHECK(number_in_name("cam1.0007") == 7);
  CHECK(!number_in_name("walk"));
  CHECK(!number_in_name("99999999999999999999999"));
  CHECK(part_of_name("../vids/größe.mp4") == "größe.mp4");
  CHECK(part_of_name("C:\\vids\\a.mp4") == "a.mp4");
  CHECK(part_of_name("a\nb\xff") == "a_b_");
  CHECK(part_of_name("..") == "clip");
  CHECK(part_of_name("") == "clip");
  CHECK(part_of_name("folder/") == "folder");
  const test::TemporaryDirectory directory;
  const std::vector<std::string> names{"2_9_b", "10_1_a", "ca", "cb", "cb2", "cb010"};
  for (std::size_t i = names.size(); i-- > 0;) {
    test::write_all(directory.file(names[i] + ".json"), "[]");
  }
  const KeypointInput input(directory.path());
  REQUIRE(input.files().size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(input.files()[i].stem() == names[i]);
}

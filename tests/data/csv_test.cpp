#include <doctest/doctest.h>

#include <string>

#include "data/pose_table.hpp"
#include "tests/data/motion_poses.hpp"

namespace posetape::data {
namespace {

TEST_CASE("csv: confidences are columns where a sequence has them, and a table of their own") {
  PoseArray poses{3, std::vector<float>(51, 0.5f)};
  std::vector<float> confidence(17, 0.25f);
  const PoseClip sure{"a,b", 50, &poses, &confidence};
  const PoseClip plain{"c", 50, &poses, nullptr};
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  const auto commas = [](const std::string& text) { return std::ranges::count(text, ','); };
  const std::string without = test::written(csv_format, {plain}, {});
  CHECK(without.starts_with("sequence,frame,seconds,Hip_x,Hip_y,Hip_z,RHip_x"));
  CHECK(commas(without) == 2 * 53);
  const std::string with = test::written(csv_format, {sure, plain}, {});
  CHECK(lines(with) == 3);
  CHECK(with.find("RWrist_z,Hip_confidence,") != std::string::npos);
  CHECK(with.find("\"a,b\",0,0,0.5,") != std::string::npos);
  CHECK(with.find(",0.25\nc,0,0,") != std::string::npos);
  CHECK(with.ends_with("0.5" + std::string(17, ',') + "\n"));
  const std::string table = confidence_table(sure);
  CHECK(table.starts_with("sequence,frame,seconds,Hip,RHip,"));
  CHECK(lines(table) == 2);
}

TEST_CASE("csv: standard deviations stand at the end, and in a table of their own") {
  PoseArray poses{3, std::vector<float>(51, 0.0f)};
  PoseArray std{3, std::vector<float>(51, 0.25f)};
  std.values[49] = 0.5f;
  std.values[50] = 1;
  const PoseClip clip{"c", 50, &poses, nullptr, &std};
  const std::string text = test::written(csv_format, {clip}, {});
  CHECK(text.find(",RWrist_z,Hip_x_std,") != std::string::npos);
  CHECK(text.ends_with(",0.25,0.5,1\n"));
  const std::string turned = std_table(clip, {.unit = Unit::cm, .up = Axes::z});
  CHECK(turned.starts_with("sequence,frame,seconds,Hip_x,Hip_y,Hip_z,"));
  CHECK(turned.ends_with(",25,100,50\n"));
}

TEST_CASE("csv: another unit and other axes") {
  PoseArray poses{3, std::vector<float>(51, 0.0f)};
  poses.values[0] = 1;
  poses.values[1] = 2;
  poses.values[2] = 3;
  const PoseClip clip{"c", 50, &poses, nullptr};
  CHECK(test::written(csv_format, {clip}, {.unit = Unit::mm}).find("c,0,0,1000,2000,3000,") !=
        std::string::npos);
  CHECK(test::written(csv_format, {clip}, {.up = Axes::z}).find("c,0,0,1,3,-2,") !=
        std::string::npos);
}

}  // namespace
}  // namespace posetape::data

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "data/skeleton.hpp"
#include "tests/data/motion_poses.hpp"

namespace posetape::data {
namespace {

TEST_CASE("json: a record a frame, with unit, axes and the values as they were") {
  const PoseArray poses = test::walking();
  std::vector<float> confidence(static_cast<std::size_t>(poses.frames()) * kJoints, 0.5f);
  confidence[18] = 0.125f;
  const std::string text = test::written(
      json_format, {{"P1/\"walk\"/0", 50, &poses, &confidence}, {"P2/walk/0", 50, &poses, nullptr}},
      {.field = "refined_3d"});
  const auto file = nlohmann::json::parse(text);
  CHECK(file.at("field") == "refined_3d");
  CHECK(file.at("unit") == "m");
  CHECK(file.at("axes") == "x right, y down, z forward");
  CHECK(file.at("joints").size() == kJoints);
  const auto& frames = file.at("frames");
  REQUIRE(frames.size() == 2 * static_cast<std::size_t>(poses.frames()));
  CHECK(frames[1].at("sequence") == "P1/\"walk\"/0");
  CHECK(frames[1].at("frame") == 1);
  CHECK(frames[1].at("seconds") == 0.02);
  CHECK(frames[1].at("confidence").at(1) == 0.125);
  CHECK_FALSE(frames.back().contains("confidence"));
  for (int f = 0; f < poses.frames(); ++f) {
    for (int i = 0; i < 3 * kJoints; ++i) {
      CHECK(frames[static_cast<std::size_t>(f)].at("joints").at(i / 3).at(i % 3).get<float>() ==
            poses.frame(f)[i]);
    }
  }
  const PoseArray pixels{2, std::vector<float>(34, 7.5f)};
  const auto flat =
      nlohmann::json::parse(test::written(json_format, {{"a", 50, &pixels, nullptr}}, {}));
  CHECK(flat.at("unit") == "pixel");
  CHECK(flat.at("frames").at(0).at("joints").at(16) == nlohmann::json({7.5, 7.5}));
}

}  // namespace
}  // namespace posetape::data

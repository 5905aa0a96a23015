#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/skeleton.hpp"
#include "tests/data/motion_poses.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::json;

std::uint32_t number(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

struct Gltf {
  Json json;
  std::string buffer;

  std::vector<float> floats(int accessor) const {
    const Json& a = json.at("accessors").at(accessor);
    const Json& view = json.at("bufferViews").at(a.at("bufferView").get<std::size_t>());
    std::vector<float> values(view.at("byteLength").get<std::size_t>() / sizeof(float));
    std::memcpy(values.data(), buffer.data() + view.at("byteOffset").get<std::size_t>(),
                values.size() * sizeof(float));
    return values;
  }
};

Gltf parse_binary(const std::string& bytes) {
  REQUIRE(bytes.starts_with("glTF"));
  CHECK(number(bytes, 4) == 2);
  CHECK(number(bytes, 8) == bytes.size());
  const std::size_t length = number(bytes, 12);
  CHECK(length % 4 == 0);
  CHECK(bytes.substr(16, 4) == "JSON");
  CHECK(bytes.substr(20 + length + 4, 4) == std::string("BIN\0", 4));
  return {Json::parse(bytes.substr(20, length)), bytes.substr(20 + length + 8)};
}

// Where the joint is in a frame: the translations down the tree.
Vec3 position(const Gltf& gltf, std::size_t frame, int joint) {
  Vec3 at = Vec3::Zero();
  for (int j = joint; j >= 0; j = kParents[j]) {
    const Json& sampler = gltf.json.at("animations").at(0).at("samplers").at(j);
    const std::vector<float> values = gltf.floats(sampler.at("output").get<int>());
    for (int c = 0; c < 3; ++c) at[c] += values[3 * frame + static_cast<std::size_t>(c)];
  }
  return at;
}

TEST_CASE("gltf: nodes move as the joints do, y up, in metres") {
  const PoseArray poses = test::walking();
  const PoseClip clip{"P1/walk_1/0", 50, &poses, nullptr};
  const Gltf gltf = parse_binary(test::written(gltf_format, {clip}, {.ending = ".glb"}));
  const std::vector<float> times =
      gltf.floats(gltf.json.at("animations").at(0).at("samplers").at(0).at("input").get<int>());
  REQUIRE(times.size() == static_cast<std::size_t>(poses.frames()));
  CHECK(times[1] == 0.02f);
  for (const std::size_t f : {0, 41, 99}) {
    for (int j = 0; j < kJoints; ++j) {
      const float* p = poses.frame(static_cast<int>(f)) + 3 * j;
      CHECK((position(gltf, f, j) - Vec3(p[0], -p[1], -p[2])).norm() < 1e-5);
    }
  }
  for (int j = 1; j < kJoints; ++j) {
    const auto& children = gltf.json.at("nodes").at(kParents[j]).at("children");
    CHECK(std::count(children.begin(), children.end(), Json(j)) == 1);
    CHECK(gltf.json.at("nodes").at(j).at("name") == kJointNames[j]);
  }
}

TEST_CASE("gltf: the skin's weights are 1 in all, and its indices are vertices") {
  const PoseArray poses = test::walking();
  const Gltf gltf =
      parse_binary(test::written(gltf_format, {{"x", 50, &poses, nullptr}}, {.ending = ".glb"}));
  const Json& primitive = gltf.json.at("meshes").at(0).at("primitives").at(0);
  const std::vector<float> weights =
      gltf.floats(primitive.at("attributes").at("WEIGHTS_0").get<int>());
  for (std::size_t v = 0; v < weights.size(); v += 4) {
    CHECK(weights[v] + weights[v + 1] + weights[v + 2] + weights[v + 3] == 1);
  }
  const Json& indices = gltf.json.at("accessors").at(primitive.at("indices").get<std::size_t>());
  CHECK(indices.at("count").get<int>() == 3 * (17 * 8 + 16 * 6));
  const Json& view = gltf.json.at("bufferViews").at(indices.at("bufferView").get<std::size_t>());
  for (std::size_t i = 0; i < indices.at("count").get<std::size_t>(); ++i) {
    const std::size_t at = view.at("byteOffset").get<std::size_t>() + 2 * i;
    CHECK((number(gltf.buffer, at) & 0xffff) < weights.size() / 4);
  }
}

TEST_CASE("gltf: the text form has the same buffer within") {
  const PoseArray poses = test::walking();
  const PoseClip clip{"x", 50, &poses, nullptr};
  const Gltf binary = parse_binary(test::written(gltf_format, {clip}, {.ending = ".glb"}));
  Json text = Json::parse(test::written(gltf_format, {clip}, {.ending = ".gltf"}));
  const std::string uri = text.at("buffers").at(0).at("uri");
  CHECK(uri.starts_with("data:application/octet-stream;base64,"));
  const std::size_t bytes = text.at("buffers").at(0).at("byteLength");
  CHECK(uri.size() - 37 == (bytes + 2) / 3 * 4);
  text.at("buffers").at(0).erase("uri");
  CHECK(text == binary.json);
}

}  // namespace
}  // namespace posetape::data

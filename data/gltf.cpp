// glTF 2.0: poses as an animation that viewers play and Blender imports, in one file.
//
// The 17 joints are nodes, each below its parent as in skeleton.hpp, that only move (no node turns,
// so that positions are exact), in metres, y up. A mesh that the nodes carry as a skin makes the
// person seen: a small octahedron at each joint and three crossing rhombs along each bone. The pose
// at rest, which programs without animation show, is the first frame's. Source: Khronos'
// specification 2.0.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/motion_format.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kByte = 5121, kShort = 5123, kFloat = 5126;  // component types
constexpr int kVertices = 34962, kIndices = 34963;         // targets of buffer views

// The buffer, and the views and accessors that say what is in it.
class Buffer {
 public:
  int floats(const std::vector<float>& values, int width, const char* type, int target = 0,
             bool bounds = false) {
    const std::size_t start = begin();
    for (const float value : values) put(std::bit_cast<std::uint32_t>(value), 4);
    Json accessor = {{"bufferView", view(start, target)},
                     {"componentType", kFloat},
                     {"count", values.size() / static_cast<std::size_t>(width)},
                     {"type", type}};
    if (bounds) {
      for (int c = 0; c < width; ++c) {
        float least = std::numeric_limits<float>::infinity();
        float most = -least;
        for (std::size_t i = static_cast<std::size_t>(c); i < values.size();
             i += static_cast<std::size_t>(width)) {
          least = std::min(least, values[i]);
          most = std::max(most, values[i]);
        }
        accessor["min"].push_back(least);
        accessor["max"].push_back(most);
      }
    }
    return add(accessor);
  }
  int integers(const std::vector<int>& values, int size, int width, const char* type, int target) {
    const std::size_t start = begin();
    for (const int value : values) put(static_cast<std::uint32_t>(value), size);
    return add({{"bufferView", view(start, target)},
                {"componentType", size == 1 ? kByte : kShort},
                {"count", values.size() / static_cast<std::size_t>(width)},
                {"type", type}});
  }

  const std::string& bytes() const { return bytes_; }
  const Json& views() const { return views_; }
  const Json& accessors() const { return accessors_; }

 private:
  std::size_t begin() {
    while (bytes_.size() % 4 != 0) bytes_ += '\0';
    return bytes_.size();
  }
  void put(std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  std::size_t view(std::size_t start, int target) {
    Json view = {{"buffer", 0}, {"byteOffset", start}, {"byteLength", bytes_.size() - start}};
    if (target != 0) view["target"] = target;
    views_.push_back(view);
    return views_.size() - 1;
  }
  int add(Json accessor) {
    accessors_.push_back(std::move(accessor));
    return static_cast<int>(accessors_.size()) - 1;
  }

  std::string bytes_;
  Json views_ = Json::array(), accessors_ = Json::array();
};

using Points = std::array<Vec3, kJoints>;

Points points_of(const PoseClip& clip, int frame) {
  Points points;
  for (int j = 0; j < kJoints; ++j) points[j] = exported(clip, frame, j, {.up = Axes::y});
  return points;
}

Vec3 from_parent(const Points& points, int j) {
  return j == 0 ? points[0] : Vec3(points[j] - points[kParents[j]]);
}

// Vertices that move with joints, and triangles of them.
struct Mesh {
  std::vector<float> positions, weights;  // [V][3], [V][4]
  std::vector<int> joints, indices;       // [V][4], [T][3]

  int vertex(const Vec3& at, int a, int b) {
    for (const double x : at) positions.push_back(static_cast<float>(x));
    const float half = a == b ? 1.0f : 0.5f;
    for (const float w : {half, 1 - half, 0.0f, 0.0f}) weights.push_back(w);
    for (const int j : {a, a == b ? 0 : b, 0, 0}) joints.push_back(j);
    return static_cast<int>(positions.size() / 3) - 1;
  }
  void triangle(int a, int b, int c) { indices.insert(indices.end(), {a, b, c}); }
};

void add_joint(Mesh& mesh, const Points& points, int j) {
  constexpr double kRadius = 0.02;  // metres
  std::array<int, 6> corners{};     // +x, -x, +y, ...
  for (int c = 0; c < 6; ++c) {
    const Vec3 out = (c % 2 == 0 ? kRadius : -kRadius) * Vec3::Unit(c / 2);
    corners[c] = mesh.vertex(points[j] + out, j, j);
  }
  for (const int x : {0, 1}) {
    for (const int y : {2, 3}) {
      for (const int z : {4, 5}) {
        const bool outside = (x + y + z) % 2 == 0;
        mesh.triangle(corners[x], corners[outside ? y : z], corners[outside ? z : y]);
      }
    }
  }
}

void add_bone(Mesh& mesh, const Points& points, int child) {
  constexpr double kRadius = 0.012;
  const int parent = kParents[child];
  const Vec3 middle = 0.5 * (points[parent] + points[child]);
  const int start = mesh.vertex(points[parent], parent, parent);
  const int end = mesh.vertex(points[child], child, child);
  for (int axis = 0; axis < 3; ++axis) {
    const int left = mesh.vertex(middle + kRadius * Vec3::Unit(axis), parent, child);
    const int right = mesh.vertex(middle - kRadius * Vec3::Unit(axis), parent, child);
    mesh.triangle(start, left, end);
    mesh.triangle(end, right, start);
  }
}

Json mesh_of(const Points& rest, Buffer& buffer) {
  Mesh mesh;
  for (int j = 0; j < kJoints; ++j) add_joint(mesh, rest, j);
  for (int j = 1; j < kJoints; ++j) add_bone(mesh, rest, j);
  const Json attributes = {{"POSITION", buffer.floats(mesh.positions, 3, "VEC3", kVertices, true)},
                           {"JOINTS_0", buffer.integers(mesh.joints, 1, 4, "VEC4", kVertices)},
                           {"WEIGHTS_0", buffer.floats(mesh.weights, 4, "VEC4", kVertices)}};
  const int indices = buffer.integers(mesh.indices, 2, 1, "SCALAR", kIndices);
  return {{"name", "person"},
          {"primitives", {{{"attributes", attributes}, {"indices", indices}, {"material", 0}}}}};
}

Json skin_of(const Points& rest, Buffer& buffer) {
  std::vector<float> matrices;  // by column: the way back from each joint to the origin
  Json joints = Json::array();
  for (int j = 0; j < kJoints; ++j) {
    const Vec3 back = -rest[j];
    for (int i = 0; i < 16; ++i) {
      const bool moves = i >= 12 && i < 15;
      matrices.push_back(moves ? static_cast<float>(back[i - 12]) : i % 5 == 0 ? 1.0f : 0.0f);
    }
    joints.push_back(j);
  }
  return {{"inverseBindMatrices", buffer.floats(matrices, 16, "MAT4")},
          {"skeleton", 0},
          {"joints", joints}};
}

Json nodes_of(const Points& rest) {
  Json nodes = Json::array();
  for (int j = 0; j < kJoints; ++j) {
    const Vec3 at = from_parent(rest, j);
    Json node = {
        {"name", kJointNames[j]},
        {"translation",
         {static_cast<float>(at.x()), static_cast<float>(at.y()), static_cast<float>(at.z())}}};
    for (int child = 1; child < kJoints; ++child) {
      if (kParents[child] == j) node["children"].push_back(child);
    }
    nodes.push_back(node);
  }
  nodes.push_back({{"name", "person"}, {"mesh", 0}, {"skin", 0}});
  return nodes;
}

Json animation_of(const PoseClip& clip, Buffer& buffer) {
  const int frames = clip.poses->frames();
  std::vector<float> times;
  std::array<std::vector<float>, kJoints> moves;
  for (int f = 0; f < frames; ++f) {
    times.push_back(static_cast<float>(f / clip.fps));
    const Points points = points_of(clip, f);
    for (int j = 0; j < kJoints; ++j) {
      for (const double x : from_parent(points, j)) moves[j].push_back(static_cast<float>(x));
    }
  }
  const int input = buffer.floats(times, 1, "SCALAR", 0, true);
  Json samplers = Json::array(), channels = Json::array();
  for (int j = 0; j < kJoints; ++j) {
    samplers.push_back({{"input", input},
                        {"interpolation", "LINEAR"},
                        {"output", buffer.floats(moves[j], 3, "VEC3")}});
    channels.push_back({{"sampler", j}, {"target", {{"node", j}, {"path", "translation"}}}});
  }
  return {{"name", clip.name}, {"samplers", samplers}, {"channels", channels}};
}

Json document(const PoseClip& clip, const ExportOptions& options, Buffer& buffer) {
  const Points rest = points_of(clip, 0);
  const Json asset = {{"version", "2.0"}, {"generator", "posetape"}};
  const Json extras = {
      {"fps", clip.fps}, {"unit", "m"}, {"axes", words(Axes::y)}, {"field", options.field}};
  const Json material = {{"name", "person"},
                         {"doubleSided", true},
                         {"pbrMetallicRoughness",
                          {{"baseColorFactor", {0.1, 0.35, 0.8, 1.0}},
                           {"metallicFactor", 0.0},
                           {"roughnessFactor", 0.8}}}};
  Json file;
  file["asset"] = asset;
  file["scene"] = 0;
  file["scenes"] = {{{"name", clip.name}, {"nodes", {0, kJoints}}, {"extras", extras}}};
  file["nodes"] = nodes_of(rest);
  file["materials"] = {material};
  file["meshes"] = {mesh_of(rest, buffer)};
  file["skins"] = {skin_of(rest, buffer)};
  file["animations"] = {animation_of(clip, buffer)};
  file["accessors"] = buffer.accessors();
  file["bufferViews"] = buffer.views();
  file["buffers"] = {{{"byteLength", buffer.bytes().size()}}};
  return file;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      three = three << 8 |
              (i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : std::uint8_t{0});
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::string dump(const Json& file) {
  return file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The binary form: a header, the JSON and the buffer, each chunk filled to four bytes.
std::string binary(std::string json, std::string buffer) {
  json.resize((json.size() + 3) / 4 * 4, ' ');
  buffer.resize((buffer.size() + 3) / 4 * 4, '\0');
  std::string file = "glTF";
  const auto put = [&](std::size_t value) {
    for (int i = 0; i < 4; ++i) file += static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(2);
  put(12 + 8 + json.size() + 8 + buffer.size());
  put(json.size());
  file += "JSON" + json;
  put(buffer.size());
  file += std::string("BIN\0", 4) + buffer;
  return file;
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  for (const PoseClip& clip : clips) {
    Buffer buffer;
    Json file = document(clip, options, buffer);
    if (options.ending == ".gltf") {
      file["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64(buffer.bytes());
      sink(dump(file) + "\n");
    } else {
      sink(binary(dump(file), buffer.bytes()));
    }
  }
}

bool begins(std::string_view start) {
  return start.starts_with("glTF") || start.starts_with("{\"asset\":{\"version\":\"2.0\"");
}

}  // namespace

const FormatRule gltf_format{
    .name = "gltf",
    .title = "an animation in glTF",
    .endings = {".glb", ".gltf"},
    .begins = begins,
    .reader = std::nullopt,
    .writer = FormatWriter{.help = "an animation for viewers and Blender, .glb or .gltf",
                           .all_in_one = false,
                           .pixels = false,
                           .certainty = false,
                           .unit = Unit::m,
                           .up = Axes::y,
                           .fixed = true,
                           .write = write}};

}  // namespace posetape::data

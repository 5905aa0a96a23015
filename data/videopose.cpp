#include "data/videopose.hpp"

#include <cmath>
#include <set>

#include "data/numpy_pickle.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

std::string action_name(std::string_view name) {
  for (const auto& [older, newer] :
       {std::pair<std::string_view, std::string_view>{"TakingPhoto", "Photo"},
        {"WalkingDog", "WalkDog"}}) {
    if (name == older || name.starts_with(std::string(older) + " ")) {
      return std::string(newer) + std::string(name.substr(older.size()));
    }
  }
  return std::string(name);
}

// Where poses are in a file, and what they are called there and here.
struct Place {
  std::string subject, action, video, where;
};

// Reads the arrays of one file.
class Clips {
 public:
  Clips(const PickledObject& object, std::string where)
      : where_(std::move(where)), left_(4 * object.bytes.size()) {}

  // Calls f(place, value) for each {subject: {action: value}}.
  template <class F>
  void each(const PickleValue& subjects, F f) {
    std::set<std::pair<std::string, std::string>> seen;
    for (std::size_t s = 0; s < subjects.size(); ++s) {
      const std::string_view video = subjects.key(s).text();
      const std::string subject = video_name(video);
      const PickleValue actions = subjects.value(s);
      for (std::size_t a = 0; a < actions.size(); ++a) {
        const std::string_view name = actions.key(a).text();
        const std::string where =
            fmt::format("{}: {}/{}", where_, printable(subject), printable(name));
        const std::string action = action_name(part_of_name(name));
        if (!seen.emplace(subject, action).second) fail("{}: occurs twice; keep one", where);
        spend(1, where);
        f(Place{subject, action, std::string(video), where}, actions.value(a));
      }
    }
  }

  // An array of (N, joints, channels) floats; 2D poses may have more columns.
  NpyArray array(const PickleValue& value, std::int64_t channels, const std::string& where) {
    NpyArray array = is_array(value) ? array_of(value, where) : numbers(value, where);
    spend(array.bytes.size() + 1, where);
    if (array.type != NpyType::f4 && array.type != NpyType::f8) {
      fail("{}: expected float32 or float64, found {}", where, type_name(array.type));
    }
    const bool more = channels == 2 && array.shape.size() == 3 && array.shape[2] > channels;
    if (array.shape.size() != 3 || (array.shape[2] != channels && !more)) {
      fail("{}: expected shape (frames, joints, {}), found {}", where, channels,
           shape_text(array.shape));
    }
    return array;
  }

  // The cameras' arrays: a list of them, or one array of one camera or of all.
  std::vector<NpyArray> views(const PickleValue& value, const std::string& where) {
    std::vector<NpyArray> result;
    if (is_array(value)) {
      NpyArray all = array_of(value, where);
      if (all.shape.size() != 4) return {array(value, 2, where)};
      spend(all.bytes.size() + 1, where);
      const auto count = static_cast<std::size_t>(all.shape[0]);
      for (std::size_t v = 0; v < count; ++v) {
        const auto size = static_cast<std::ptrdiff_t>(all.bytes.size() / count);
        const auto begin = all.bytes.begin() + static_cast<std::ptrdiff_t>(v) * size;
        result.push_back(
            {all.type, {all.shape.begin() + 1, all.shape.end()}, {begin, begin + size}});
      }
      return result;
    }
    // Lists of numbers: of one camera where three deep, else of several.
    if (is_list(value) && depth(value) == 3) return {array(value, 2, where)};
    for (std::size_t v = 0; v < value.size(); ++v) {
      result.push_back(array(value[v], 2, fmt::format("{}, camera {}", where, v)));
    }
    return result;
  }

 private:
  static bool is_list(const PickleValue& value) {
    return value.kind() == PickleKind::list || value.kind() == PickleKind::tuple;
  }

  // How deep lists are nested, as far as their first elements say; 0 of lists of arrays.
  static int depth(const PickleValue& value) {
    PickleValue inner = value;
    int depth = 0;
    for (; depth < 5 && is_list(inner) && inner.size() > 0; ++depth) inner = inner[0];
    return is_array(inner) ? 0 : depth;
  }

  // Lists of frames of joints of numbers as an array.
  NpyArray numbers(const PickleValue& frames, const std::string& where) {
    if (!is_list(frames) || depth(frames) != 3) {
      fail("{}: expected a numpy array, found {}; write it as VideoPose3D's files are", where,
           kind_name(frames.kind()));
    }
    std::vector<float> values;
    const std::size_t joints = frames[0].size();
    const std::size_t columns = frames[0][0].size();
    for (std::size_t f = 0; f < frames.size(); ++f) {
      if (frames[f].size() != joints) fail("{}: frame {} has other joints", where, f);
      for (std::size_t j = 0; j < joints; ++j) {
        if (frames[f][j].size() != columns) fail("{}: frame {} has other columns", where, f);
        spend(4 * columns, where);
        for (std::size_t c = 0; c < columns; ++c) {
          values.push_back(static_cast<float>(number_of(frames[f][j][c], where)));
        }
      }
    }
    NpyArray array{NpyType::f4, {}, {}};
    for (const std::size_t n : {frames.size(), joints, columns}) {
      array.shape.push_back(static_cast<std::int64_t>(n));
    }
    const auto bytes = std::as_bytes(std::span(values));
    array.bytes.assign(bytes.begin(), bytes.end());
    return array;
  }

  // The last part of a path; names that are equal then get a number.
  std::string video_name(std::string_view video) {
    const std::string name = part_of_name(video);
    std::string unique = name;
    for (int n = 2; !videos_.insert(unique).second; ++n) unique = fmt::format("{}_{}", name, n);
    return unique;
  }

  // A pickle may hold one array in many places, so that a small file would fill the memory: all
  // together are at most a few times as large as the file.
  void spend(std::size_t bytes, const std::string& where) {
    if (bytes > left_) fail("{}: one array occurs in too many places; write copies of it", where);
    left_ -= bytes;
  }

  std::string where_;
  std::size_t left_;
  std::set<std::string> videos_;
};

int joint_number(const PickleValue& value, const std::string& where) {
  const double number = number_of(value, where);
  if (!(number >= 0 && number <= 1000 && number == std::floor(number))) {
    fail("{}: metadata: {} is no number of a joint", where, number);
  }
  return static_cast<int>(number);
}

std::int32_t extent(const PickleValue& video, std::string_view name, const std::string& where) {
  const std::optional<PickleValue> value = video.find(name);
  const double pixels = value ? number_of(*value, where) : 0;
  if (!(pixels >= 1 && pixels <= 1e6)) {
    fail("{}: metadata: expected width 'w' and height 'h' of each video in pixels", where);
  }
  return static_cast<std::int32_t>(pixels);
}

void read_metadata(const PickleValue& metadata, const std::string& where, Keypoints& keypoints) {
  if (const auto layout = metadata.find("layout_name")) {
    keypoints.layout = printable(layout->text());
  }
  if (const auto joints = metadata.find("num_joints")) {
    keypoints.joints = joint_number(*joints, where);
  }
  if (const auto symmetry = metadata.find("keypoints_symmetry")) {
    for (std::size_t side = 0; side < 2; ++side) {
      const PickleValue list = (*symmetry)[side];
      for (std::size_t i = 0; i < list.size(); ++i) {
        keypoints.symmetry[side].push_back(joint_number(list[i], where));
      }
    }
  }
  if (const auto videos = metadata.find("video_metadata")) {
    for (std::size_t v = 0; v < videos->size(); ++v) {
      const PickleValue video = videos->value(v);
      keypoints.image_sizes[std::string(videos->key(v).text())] = {extent(video, "w", where),
                                                                   extent(video, "h", where)};
    }
  }
}

}  // namespace

std::vector<PositionsClip> read_positions_3d(const std::string& path) {
  const NpzReader file(path);
  const PickledObject object = read_object(file, "positions_3d");
  Clips clips(object, path);
  std::vector<PositionsClip> result;
  clips.each(object.value, [&](const Place& place, const PickleValue& value) {
    result.push_back({place.subject, place.action, clips.array(value, 3, place.where)});
  });
  return result;
}

Keypoints read_keypoints_2d(const std::string& path) {
  const NpzReader file(path);
  const PickledObject object = read_object(file, "positions_2d");
  Clips clips(object, path);
  Keypoints result;
  clips.each(object.value, [&](const Place& place, const PickleValue& value) {
    result.clips.push_back(
        {place.subject, place.action, place.video, clips.views(value, place.where)});
  });
  if (file.has("metadata")) {
    const PickledObject metadata = read_object(file, "metadata");
    read_metadata(metadata.value, path, result);
  }
  return result;
}

}  // namespace posetape::data

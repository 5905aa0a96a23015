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

// A part of a name in our files, where '/' separates.
void check_name(std::string_view name, const std::string& where) {
  if (name.empty() || name.find('/') != std::string_view::npos || printable(name) != name) {
    fail("{}: '{}' cannot be a part of a sequence's name; rename it", where, printable(name));
  }
}

// Reads the arrays of one file.
class Clips {
 public:
  Clips(const PickledObject& object, std::string where)
      : where_(std::move(where)), left_(4 * object.bytes.size()) {}

  // Calls f(subject, action, value, where) for each {subject: {action: value}}.
  template <class F>
  void each(const PickleValue& subjects, F f) {
    std::set<std::pair<std::string, std::string>> seen;
    for (std::size_t s = 0; s < subjects.size(); ++s) {
      const std::string subject(subjects.key(s).text());
      check_name(subject, where_);
      const PickleValue actions = subjects.value(s);
      for (std::size_t a = 0; a < actions.size(); ++a) {
        const std::string_view name = actions.key(a).text();
        const std::string where = fmt::format("{}: {}/{}", where_, subject, printable(name));
        check_name(name, where);
        const std::string action = action_name(name);
        if (!seen.emplace(subject, action).second) fail("{}: occurs twice; keep one", where);
        spend(1, where);
        f(subject, action, actions.value(a), where);
      }
    }
  }

  // An array of (N, joints, channels) floats.
  NpyArray array(const PickleValue& value, std::int64_t channels, const std::string& where) {
    NpyArray array = array_of(value, where);
    spend(array.bytes.size() + 1, where);
    if (array.type != NpyType::f4 && array.type != NpyType::f8) {
      fail("{}: expected float32 or float64, found {}", where, type_name(array.type));
    }
    if (array.shape.size() != 3 || array.shape[2] != channels) {
      fail("{}: expected shape (frames, joints, {}), found {}", where, channels,
           shape_text(array.shape));
    }
    return array;
  }

 private:
  // A pickle may hold one array in many places, so that a small file would fill the memory: all
  // together are at most a few times as large as the file.
  void spend(std::size_t bytes, const std::string& where) {
    if (bytes > left_) fail("{}: one array occurs in too many places; write copies of it", where);
    left_ -= bytes;
  }

  std::string where_;
  std::size_t left_;
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
  clips.each(object.value, [&](const std::string& subject, const std::string& action,
                               const PickleValue& value, const std::string& where) {
    result.push_back({subject, action, clips.array(value, 3, where)});
  });
  return result;
}

Keypoints read_keypoints_2d(const std::string& path) {
  const NpzReader file(path);
  const PickledObject object = read_object(file, "positions_2d");
  Clips clips(object, path);
  Keypoints result;
  clips.each(object.value, [&](const std::string& subject, const std::string& action,
                               const PickleValue& value, const std::string& where) {
    KeypointsClip clip{subject, action, {}};
    for (std::size_t v = 0; v < value.size(); ++v) {
      clip.views.push_back(clips.array(value[v], 2, fmt::format("{}, camera {}", where, v)));
    }
    result.clips.push_back(std::move(clip));
  });
  if (file.has("metadata")) {
    const PickledObject metadata = read_object(file, "metadata");
    read_metadata(metadata.value, path, result);
  }
  return result;
}

}  // namespace posetape::data

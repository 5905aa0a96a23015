// VideoPose3D's files of one's own videos, data_2d_custom_*.npz:
//   positions_2d {video: {"custom": [(F, K, 2)]}}, metadata {layout_name, video_metadata}
// with the variations that data/videopose.hpp takes. A third column is the confidence.
// Source: VideoPose3D's data/prepare_data_2d_custom.py.
#include "data/keypoint_formats.hpp"
#include "data/videopose.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

bool recognises(const KeypointInput& input) {
  return input.kind() == FileKind::npz && input.npz().has("positions_2d");
}

std::optional<KeypointLayout> layout_of(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name == "mediapipe33" || name == "blazepose") return KeypointLayout::mediapipe;
  return parse<KeypointLayout>(name);
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  if (wanted == Wanted::estimates) return {};
  const Keypoints file = read_keypoints_2d(input.path());
  std::vector<KeypointClip> clips;
  for (const KeypointsClip& video : file.clips) {
    const auto size = file.image_sizes.find(video.video);
    for (std::size_t v = 0; v < video.views.size(); ++v) {
      KeypointClip clip;
      clip.name = fmt::format("{}/{}/{}", video.subject, video.action, v);
      clip.layout = layout_of(file.layout);
      if (size != file.image_sizes.end()) clip.image_size = size->second;
      add_array(clip, video.views[v], 2, fmt::format("{}: {}", input.path(), clip.name));
      clips.push_back(std::move(clip));
    }
  }
  return clips;
}

}  // namespace

extern const KeypointFormatRule videopose3d_format;
const KeypointFormatRule videopose3d_format{"VideoPose3D's data_2d_custom_*.npz", recognises, read};

}  // namespace posetape::data

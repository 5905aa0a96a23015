// Predictions of MMPose and RTMPose as JSON. The inferencer and the demos write
//   [{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...], ...}]}]
//   {"meta_info": {...}, "instance_info": [{"frame_id": 1, "instances": [...]}]}
// or, of images, a file each with the list of instances. A folder of them is a clip, with the
// frames that the names number; one of whole videos is a clip each. 3D has three coordinates, as
// the demos draw them: x to the left, z up, metres; y away from the camera from the lifters (17
// keypoints), towards it from RTMPose3D (133). Source: MMPose 1.x,
// mmpose/apis/inferencers/base_mmpose_inferencer.py, demo/body3d_pose_lifter_demo.py,
// projects/rtmpose3d.
#include <algorithm>

#include "data/keypoint_formats.hpp"
#include "data/printable.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

bool is_instance(const Json& json) {
  return member(json, "keypoints") != nullptr && member(json, "image_id") == nullptr;
}

// The list of frames, or of the instances of one image; null for neither.
const Json* frames_of(const Json& json) {
  const Json* info = member(json, "instance_info");
  if (info == nullptr) info = member(json, "predictions");
  const Json* list = info != nullptr ? info : &json;
  return list->is_array() ? list : nullptr;
}

// Boxes of one coordinate too many: MMPose's own lists of one person.
const Json& unwrapped(const Json& value) {
  const Json* inner = &value;
  while (inner->is_array() && inner->size() == 1 && (*inner)[0].is_array()) inner = &(*inner)[0];
  return *inner;
}

void add(KeypointClip& clip, const Json& instance, std::int64_t frame, const std::string& where) {
  const Json* found = member(instance, "keypoints");
  if (found == nullptr) fail("{}: expected 'keypoints' of each instance", where);
  const Json& keypoints = unwrapped(*found);
  const int count = static_cast<int>(keypoints.size());
  std::vector<float> values = numbers_in(keypoints, where);
  const auto columns = count == 0 ? 0 : static_cast<int>(values.size() / std::size_t(count));
  if (columns < 2 || columns > 3 || values.size() != std::size_t(count) * std::size_t(columns)) {
    fail("{}: expected keypoints of 2 or 3 coordinates, found {} numbers for {} keypoints", where,
         values.size(), count);
  }
  if (clip.keypoints == 0) {
    clip.keypoints = count;
    clip.channels = columns;
  }
  if (count != clip.keypoints || columns != clip.channels) {
    fail("{}: has {} keypoints of {} coordinates, those before it {} of {}", where, count, columns,
         clip.keypoints, clip.channels);
  }
  Detection detection{frame, -1, std::move(values), {}};
  if (const Json* scores = member(instance, "keypoint_scores")) {
    detection.confidence = numbers_in(*scores, where);
    if (detection.confidence.size() != std::size_t(count)) {
      fail("{}: has {} keypoints and {} scores", where, count, detection.confidence.size());
    }
  }
  if (const Json* id = member(instance, "track_id"); id != nullptr && id->is_number_integer()) {
    detection.id = id->get<std::int64_t>();
  }
  clip.detections.push_back(std::move(detection));
}

// Adds the frames of a file, or those of an image as the frame `image`. `first` becomes the least
// number of a frame, also of one without people.
void add_frames(KeypointClip& clip, const Json& json, std::optional<std::int64_t> image,
                std::int64_t& first, const std::string& where) {
  const Json* frames = frames_of(json);
  if (frames == nullptr) fail("{}: expected a list of frames with 'instances'", where);
  for (std::size_t i = 0; i < frames->size(); ++i) {
    const Json& entry = (*frames)[i];
    const std::string which = fmt::format("{}: entry {}", where, i);
    const Json* instances = member(entry, "instances");
    if (instances == nullptr) instances = entry.is_array() ? &entry : nullptr;
    const bool image_alone = instances == nullptr;
    if (!image_alone && !instances->is_array()) fail("{}: expected a list of instances", which);
    const Json* id = member(entry, "frame_id");
    const bool numbered = id != nullptr && id->is_number_integer();
    const std::int64_t frame = image         ? *image
                               : numbered    ? id->get<std::int64_t>()
                               : image_alone ? 0
                                             : std::int64_t(i);
    if (frame < 0 || frame > kMostFrames) fail("{}: {} is no frame of a video", which, frame);
    first = std::min(first, frame);
    clip.frames = std::max(clip.frames, frame + 1);
    if (image_alone) add(clip, entry, frame, which);
    for (std::size_t k = 0; !image_alone && k < instances->size(); ++k) {
      add(clip, (*instances)[k], frame, which);
    }
  }
}

// Whether a file has frames rather than the people of an image.
bool is_video(const Json& json) {
  const Json* frames = frames_of(json);
  return frames != nullptr && frames->size() > 1 && member((*frames)[0], "instances") != nullptr;
}

bool looks_like(const Json& json) {
  const Json* frames = frames_of(json);
  if (frames == nullptr || frames->empty()) return false;
  const Json& first = (*frames)[0];
  return member(first, "instances") != nullptr || is_instance(first) ||
         (first.is_array() && !first.empty() && is_instance(first[0]));
}

// An image without anybody is an empty list, so that the first files of a folder may not tell.
Json first_result(const KeypointInput& input) {
  Json json;
  for (const auto& file : input.files()) {
    json = parse_json(read_text(file), file.string());
    const Json* frames = frames_of(json);
    if (frames == nullptr || !frames->empty()) break;
  }
  return json;
}

bool recognises(const KeypointInput& input) {
  if (input.kind() == FileKind::folder) return looks_like(first_result(input));
  return input.kind() == FileKind::json && looks_like(input.json());
}

// The layout where the file names the data set that its keypoints are of.
std::optional<KeypointLayout> layout_of(const Json& json) {
  const Json* meta = member(json, "meta_info");
  const Json* name = meta != nullptr ? member(*meta, "dataset_name") : nullptr;
  if (name == nullptr || !name->is_string()) return std::nullopt;
  const auto& text = name->get_ref<const std::string&>();
  if (text == "coco") return KeypointLayout::coco;
  if (text == "coco_wholebody") return KeypointLayout::coco_wholebody;
  if (text == "h36m") return KeypointLayout::h36m;
  if (text.starts_with("halpe")) return KeypointLayout::halpe;
  return std::nullopt;
}

// Says what a clip's keypoints are, as the file says it or as their number does.
KeypointClip described(KeypointClip clip, const Json& json, Wanted wanted,
                       const std::string& where) {
  const bool estimates = clip.channels == 3;
  if (clip.detections.empty()) fail("{}: no person in any frame", where);
  if (estimates != (wanted == Wanted::estimates)) {
    fail("{}: its keypoints have {} coordinates; read it with `posetape prepare {}`", where,
         clip.channels, estimates ? "estimates" : "keypoints");
  }
  finish(clip, false, where);
  clip.layout = layout_of(json);
  if (estimates) {
    if (clip.keypoints == 17) clip.layout = KeypointLayout::h36m;
    clip.z_up = true;
    clip.mirrored = clip.keypoints == 17;
    clip.turn = clip.mirrored ? 0 : 180;
  } else if (!clip.layout || !has_count(*clip.layout, clip.keypoints)) {
    clip.layout = clip.keypoints == 17 ? std::optional(KeypointLayout::coco) : std::nullopt;
  }
  return clip;
}

KeypointClip read_file(const std::string& name, const Json& json, Wanted wanted,
                       const std::string& where) {
  KeypointClip clip;
  clip.name = name;
  std::int64_t first = 1;  // frames are numbered from 0, or 1, on
  add_frames(clip, json, std::nullopt, first, where);
  for (Detection& d : clip.detections) d.frame -= first;
  clip.frames -= first;
  return described(std::move(clip), json, wanted, where);
}

// Files of whole videos are a clip each, those of images a frame each.
std::vector<KeypointClip> read_folder(const KeypointInput& input, Wanted wanted) {
  if (is_video(first_result(input))) {
    std::vector<KeypointClip> clips;
    for (const auto& path : input.files()) {
      const std::string file = path.string();
      const std::string video = part_of_name(path.stem().string());
      const std::string name = fmt::format("{}/{}/0", input.subject(), video);
      clips.push_back(read_file(name, parse_json(read_text(path), file), wanted, file));
    }
    if (clips.size() == 1) clips[0].name = clip_name(input.subject());
    return clips;
  }
  KeypointClip clip;
  clip.name = clip_name(input.subject());
  const std::vector<std::int64_t> numbers = frame_numbers(input);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::string file = input.files()[i].string();
    const Json json = parse_json(read_text(file), file);
    if (is_video(json)) {
      fail("{}: is of a whole video, the first file is of an image; give a folder for each", file);
    }
    add_frames(clip, json, numbers[i], first, file);
  }
  clip.frames = numbers.back() + 1;
  return {described(std::move(clip), input.json(), wanted, input.path())};
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  if (input.kind() == FileKind::folder) return read_folder(input, wanted);
  return {read_file(clip_name(input.subject()), input.json(), wanted, input.path())};
}

}  // namespace

extern const KeypointFormatRule mmpose_format;
const KeypointFormatRule mmpose_format{"JSON of MMPose or RTMPose", recognises, read, nullptr,
                                       true};

}  // namespace posetape::data

// AlphaPose's alphapose-results.json, a list of people in frames:
//   [{"image_id": "12.jpg", "category_id": 1, "keypoints": [x, y, c, ...], "score": 2.9, "idx": 1}]
// or, from `--format cmu` and `--format open`, frames by the name of the image with 18 keypoints:
//   {"12.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": [...]}]}}
//   {"12.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": [...]}]}}
// Frames without anybody are not in it. Confidences may lie above 1. COCO's results files have the
// same form. Source: AlphaPose's alphapose/utils/pPose_nms.py, write_json.
#include "data/keypoint_formats.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

std::int64_t frame_of(const Json& image, const std::string& where) {
  if (image.is_number_integer()) return image.get<std::int64_t>();
  const auto number =
      image.is_string() ? number_in_name(image.get_ref<const std::string&>()) : std::nullopt;
  if (!number) {
    fail("{}: the image {} has no number; name images after their frames", where,
         printable(image.dump(-1, ' ', true, Json::error_handler_t::replace)));
  }
  return *number;
}

// "idx" is a number, or a list of one, where people were followed.
std::int64_t id_of(const Json& person) {
  const Json* id = member(person, "idx");
  while (id != nullptr && id->is_array()) id = id->size() == 1 ? &(*id)[0] : nullptr;
  if (id == nullptr || !id->is_number()) return -1;
  const double number = id->get<double>();
  return number >= 0 && number < 1e15 ? static_cast<std::int64_t>(number) : -1;
}

void add(KeypointClip& clip, const Json& keypoints, std::int64_t frame, std::int64_t id,
         const std::string& where) {
  std::vector<float> values = numbers_in(keypoints, where);
  if (values.empty() || values.size() % 3 != 0) {
    fail("{}: expected x, y and confidence for each keypoint, found {} numbers", where,
         values.size());
  }
  const int count = static_cast<int>(values.size() / 3);
  if (clip.keypoints == 0) clip.keypoints = count;
  if (count != clip.keypoints) {
    fail("{}: has {} keypoints, those before it {}; write one file a model", where, count,
         clip.keypoints);
  }
  Detection detection = detection_of(std::move(values), count, 3, 2);
  detection.frame = frame;
  detection.id = id;
  clip.detections.push_back(std::move(detection));
}

const Json* people_of(const Json& frame) {
  const Json* bodies = member(frame, "bodies");
  return bodies != nullptr ? bodies : member(frame, "people");
}
const Json* keypoints_of(const Json& person) {
  const Json* joints = member(person, "joints");
  return joints != nullptr ? joints : member(person, "pose_keypoints_2d");
}

bool recognises(const KeypointInput& input) {
  if (input.kind() != FileKind::json) return false;
  const Json& json = input.json();
  if (json.empty()) return false;
  if (json.is_array()) {
    return member(json[0], "image_id") != nullptr && member(json[0], "keypoints") != nullptr;
  }
  return json.is_object() && people_of(*json.begin()) != nullptr;
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  if (wanted == Wanted::estimates) return {};
  KeypointClip clip;
  clip.name = clip_name(input.subject());
  const Json& json = input.json();
  if (!json.is_structured()) fail("{}: expected a list of people", input.path());
  for (auto it = json.begin(); it != json.end(); ++it) {
    if (json.is_array()) {
      const std::string where = fmt::format("{}: entry {}", input.path(), it - json.begin());
      const Json* image = member(*it, "image_id");
      const Json* keypoints = member(*it, "keypoints");
      if (image == nullptr || keypoints == nullptr) {
        fail("{}: expected 'image_id' and 'keypoints'; write the file again", where);
      }
      add(clip, *keypoints, frame_of(*image, where), id_of(*it), where);
    } else {
      const std::string where = fmt::format("{}: {}", input.path(), printable(it.key()));
      const Json* people = people_of(*it);
      if (people == nullptr || !people->is_array()) fail("{}: has no list of people", where);
      for (const Json& person : *people) {
        const Json* keypoints = keypoints_of(person);
        if (keypoints == nullptr) fail("{}: expected 'joints' of each person", where);
        add(clip, *keypoints, frame_of(Json(it.key()), where), -1, where);
      }
    }
  }
  finish(clip, true, input.path());
  if (clip.keypoints == 17) clip.layout = KeypointLayout::coco;
  if (clip.keypoints == 18) clip.layout = KeypointLayout::coco_18;
  return {std::move(clip)};
}

}  // namespace

extern const KeypointFormatRule alphapose_format;
const KeypointFormatRule alphapose_format{"alphapose-results.json, or COCO's results", recognises,
                                          read};

}  // namespace posetape::data

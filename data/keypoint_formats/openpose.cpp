// OpenPose's JSON, a file a frame, which RTMLib, Pose2Sim, Sports2D and others write, too:
//   {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...]}]}
// A keypoint that was not seen is 0, 0, 0. 25 keypoints are of BODY_25 or of BODY_25B, which the
// skeleton tells. Source: OpenPose's doc/02_output.md; Pose2Sim's save_to_openpose, and its
// personAssociation, which writes {} for people who are not in a view.
#include "data/keypoint_formats.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr const char* kKeypoints = "pose_keypoints_2d";

std::int64_t id_of(const Json& person) {
  const Json* id = member(person, "person_id");
  if (id != nullptr && id->is_array() && !id->empty()) id = &(*id)[0];
  return id != nullptr && id->is_number_integer() ? id->get<std::int64_t>() : -1;
}

void add_people(KeypointClip& clip, const Json& frame, std::int64_t number,
                const std::string& where) {
  const Json* people = member(frame, "people");
  if (people == nullptr || !people->is_array()) {
    fail("{}: expected OpenPose's 'people', found none; take out files that are no frames", where);
  }
  for (std::size_t i = 0; i < people->size(); ++i) {
    const std::string who = fmt::format("{}: person {}", where, i);
    if ((*people)[i].empty()) continue;  // Pose2Sim's, of who is not in this view
    const Json* keypoints = member((*people)[i], kKeypoints);
    if (keypoints == nullptr) fail("{}: has no '{}'", who, kKeypoints);
    std::vector<float> values = numbers_in(*keypoints, who);
    if (values.empty()) continue;  // a face or a hand alone
    if (values.size() % 3 != 0) {
      fail("{}: expected x, y and confidence for each keypoint, found {} numbers", who,
           values.size());
    }
    const int count = static_cast<int>(values.size() / 3);
    if (clip.keypoints == 0) clip.keypoints = count;
    if (count != clip.keypoints) {
      fail("{}: has {} keypoints, files before it {}; give a folder for each model", who, count,
           clip.keypoints);
    }
    Detection detection = detection_of(std::move(values), count, 3, 2);
    detection.frame = number;
    detection.id = id_of((*people)[i]);
    clip.detections.push_back(std::move(detection));
  }
}

bool recognises(const KeypointInput& input) {
  const bool folder = input.kind() == FileKind::folder;
  if (!folder && input.kind() != FileKind::json) return false;
  if (!folder) return member(input.json(), "people") != nullptr;
  // A folder may hold a file that is no frame.
  return member(input.json(), "people") != nullptr || input.files().size() > 1;
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  if (wanted == Wanted::estimates) return {};
  KeypointClip clip;
  clip.name = clip_name(input.subject());
  if (input.kind() == FileKind::folder) {
    const std::vector<std::int64_t> numbers = frame_numbers(input);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::string file = input.files()[i].string();
      add_people(clip, parse_json(read_text(file), file), numbers[i], file);
    }
    clip.frames = numbers.back() + 1;
  } else {
    add_people(clip, input.json(), 0, input.path());
    clip.frames = 1;
  }
  if (clip.detections.empty()) {
    fail("{}: no person in any of its {} frames; look at the detector's video", input.path(),
         clip.frames);
  }
  finish(clip, false, input.path());
  // Seventeen in this form are COCO's, as RTMLib writes them.
  if (clip.keypoints == 17) clip.layout = KeypointLayout::coco;
  return {std::move(clip)};
}

}  // namespace

extern const KeypointFormatRule openpose_format;
const KeypointFormatRule openpose_format{
    "JSON of OpenPose, RTMLib, Pose2Sim or Sports2D, a file a frame", recognises, read, nullptr,
    true};

}  // namespace posetape::data

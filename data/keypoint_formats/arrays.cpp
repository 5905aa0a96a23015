// Arrays of numpy: one in an npy file, or one of an npz file, found by its name or by its shape.
//   reconstruction                    (P, F, 17, 2 or 3)  keypoints.npz of the demos of MHFormer,
//                                     STCFormer, MotionAGFormer, PoseFormer; a sequence a person
//                                     (F, 17, 3)          their output_keypoints_3d.npz, camera
//   X3D.npy                           (F, 17, 3)          MotionBERT: normalised, camera
//   joints_2d, joints_3d, ...         lists of (F, 51)    SmoothNet's, a sequence each
//   landmarks, world                  (F, 33, 4)          MediaPipe's landmarks, with fps, size
//   mediapipe_2dData_..._pixelXY.npy  (cameras, F, K, 3)  FreeMoCap: pixels
//   mediapipe_body_3d_xyz.npy         (F, K, 3)           FreeMoCap: millimetres, z up
// Of other arrays of four dimensions the longer of the first two is the frames: (F, P, K, C) are
// people in frames. Flattened coordinates, (F, K * C), and one dimension of size 1 too many are
// taken, too. Source: the demos' vis.py, MotionBERT's infer_wild.py, SmoothNet's lib/dataset,
// FreeMoCap's freemocap/system/paths_and_filenames.
#include <algorithm>
#include <cmath>
#include <utility>

#include "data/keypoint_formats.hpp"
#include "data/numpy_pickle.hpp"
#include "data/printable.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::array<std::string_view, 14> kNames2d{
    "reconstruction", "keypoints_2d", "keypoints2d", "kpts_2d",     "pose_2d",
    "poses_2d",       "joints_2d",    "joints2d",    "pred_2d",     "landmarks",
    "pose_landmarks", "keypoints",    "kpts",        "positions_2d"};
constexpr std::array<std::string_view, 16> kNames3d{"reconstruction",   "keypoints_3d",
                                                    "keypoints3d",      "kpts_3d",
                                                    "pose_3d",          "poses_3d",
                                                    "joints_3d",        "joints3d",
                                                    "pred_3d",          "j3d",
                                                    "predicted_3d_pos", "world",
                                                    "world_landmarks",  "pose_world_landmarks",
                                                    "smpl_joints",      "joints"};

// Rotations and shapes of SMPL, as in AMASS, whose numbers would pass for joints.
constexpr std::array<std::string_view, 7> kNoJoints{"pose",  "poses", "theta",        "thetas",
                                                    "betas", "shape", "global_orient"};

std::span<const std::string_view> names_for(Wanted wanted) {
  return wanted == Wanted::keypoints ? std::span<const std::string_view>(kNames2d) : kNames3d;
}

bool is_known_count(std::int64_t keypoints) {
  return keypoints > 0 && keypoints < 1000 && !layouts_with(static_cast<int>(keypoints)).empty();
}

// The columns into which a row of numbers divides as keypoints of a known number; 0 for none. Of 2D
// 2 or 3, of 3D 3; MediaPipe's may have 4.
std::int64_t columns_in(std::int64_t row, Wanted wanted) {
  constexpr std::array<std::int64_t, 3> k2d{2, 3, 4};
  constexpr std::array<std::int64_t, 2> k3d{3, 4};
  const auto fits = [&](std::int64_t c) { return row % c == 0 && is_known_count(row / c); };
  if (wanted == Wanted::keypoints) {
    const auto found = std::ranges::find_if(k2d, fits);
    return found == k2d.end() ? 0 : *found;
  }
  const auto found = std::ranges::find_if(k3d, fits);
  return found == k3d.end() ? 0 : *found;
}

// The shape as (sequences, frames, keypoints, columns), or nothing where it can't be one.
std::optional<std::array<std::int64_t, 4>> as_sequences(std::vector<std::int64_t> shape,
                                                        Wanted wanted) {
  while (shape.size() > 4 && shape[0] == 1) shape.erase(shape.begin());
  const std::int64_t least = wanted == Wanted::keypoints ? 2 : 3;
  const auto are_columns = [&](std::int64_t c) { return c >= least && c <= 5; };
  if (shape.size() < 2 || std::ranges::any_of(shape, [](auto n) { return n < 1; })) return {};
  if (!are_columns(shape.back()) || (shape.size() == 2 && !is_known_count(shape[0]))) {
    const std::int64_t columns = columns_in(shape.back(), wanted);
    if (columns == 0) return std::nullopt;
    shape.back() /= columns;
    shape.push_back(columns);
  } else if (shape.size() == 2) {
    shape.insert(shape.begin(), 1);  // one frame
  }
  if (shape.size() == 3) shape.insert(shape.begin(), 1);
  if (shape.size() != 4 || !are_columns(shape[3]) || shape[2] < 2) return std::nullopt;
  // (F, 1, K, C): the frames before the person.
  if (shape[1] == 1 && shape[0] > 1) std::swap(shape[0], shape[1]);
  return std::array{shape[0], shape[1], shape[2], shape[3]};
}

// The names of a file's arrays, for a message.
std::string arrays_text(const NpzReader& file) {
  std::string text;
  for (const std::string& name : file.names()) {
    text += text.empty() ? "" : ", ";
    text += fmt::format("'{}'", printable(name));
    if (text.size() > 200) return text + ", ...";
  }
  return text;
}

// An array whose frames stand before the people in them, (F, P, K, C). Few people are surely meant
// by that; more may be clips of a few frames each, which networks are trained on.
bool frames_first(std::int64_t sequences, std::int64_t frames, const std::string& where,
                  const NpyArray& array) {
  constexpr std::int64_t kMostPeople = 8;
  if (sequences <= frames) return false;
  if (frames > kMostPeople) {
    fail(
        "{}: shape {} may be {} frames of {} people or {} clips; put people first, or name an "
        "array "
        "of clips 'reconstruction' in an npz file",
        where, shape_text(array.shape), sequences, frames, sequences);
  }
  return true;
}

// The people of an array (F, P, K, C) as one clip.
KeypointClip clip_of_people(const NpyArray& array, const std::array<std::int64_t, 4>& shape,
                            const std::string& subject, Wanted wanted, const std::string& where) {
  const auto [frames, people, keypoints, columns] = shape;
  KeypointClip clip;
  clip.name = clip_name(subject);
  add_array(clip, {array.type, {frames * people, keypoints, columns}, array.bytes},
            wanted == Wanted::keypoints ? 2 : 3, where);
  for (Detection& d : clip.detections) d.frame /= people;
  clip.frames = frames;
  clip.one_person = false;
  return clip;
}

void add_clips(std::vector<KeypointClip>& clips, const NpyArray& array, const std::string& subject,
               bool people, Wanted wanted, const std::string& where) {
  const auto shape = as_sequences(array.shape, wanted);
  if (!shape) {
    fail("{}: expected shape (frames, keypoints, {}), found {}; put frames first, then keypoints",
         where, wanted == Wanted::keypoints ? "2 or 3" : "3", shape_text(array.shape));
  }
  const auto [sequences, frames, keypoints, columns] = *shape;
  if (!people && frames_first(sequences, frames, where, array)) {
    clips.push_back(clip_of_people(array, *shape, subject, wanted, where));
    return;
  }
  const std::size_t size = array.bytes.size() / static_cast<std::size_t>(sequences);
  for (std::int64_t s = 0; s < sequences; ++s) {
    const auto begin = array.bytes.begin() + static_cast<std::ptrdiff_t>(size * std::size_t(s));
    NpyArray part{array.type,
                  {frames, keypoints, columns},
                  {begin, begin + static_cast<std::ptrdiff_t>(size)}};
    KeypointClip clip;
    clip.name = people && sequences > 1 ? fmt::format("{}/person{}/0", subject, s + 1)
                                        : clip_name(subject, static_cast<int>(s));
    add_array(clip, part, wanted == Wanted::keypoints ? 2 : 3, where);
    clips.push_back(std::move(clip));
  }
}

// A pickled list of arrays, or one, as SmoothNet's files have them.
bool is_pickled(const NpzReader& file, const std::string& name) {
  const std::vector<std::byte> bytes = file.read_bytes(name);
  const NpyHeader header = parse_npy_header(bytes, file.where(name));
  return header.descr == "|O" || header.descr == "O";
}

void add_pickled(std::vector<KeypointClip>& clips, const NpzReader& file, const std::string& name,
                 const std::string& subject, Wanted wanted) {
  const std::vector<std::byte> bytes = file.read_bytes(name);
  const std::string where = file.where(name);
  const NpyHeader header = parse_npy_header(bytes, where);
  const auto pickle = std::span<const std::byte>(bytes).subspan(header.size);
  const PickleValue array = parse_pickle(pickle, where, {.globals = numpy_globals()}).value;
  std::vector<PickleValue> objects = objects_of(array, where);
  // One array may stand in many places: all together are at most a few times as large as the file.
  std::size_t left = 4 * bytes.size();
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const std::string which = fmt::format("{}, sequence {}", where, i);
    const NpyArray part = array_of(objects[i], which);
    if (part.bytes.size() + 1 > left) {
      fail("{}: one array occurs in too many places; write copies of it", which);
    }
    left -= part.bytes.size() + 1;
    const std::string name_here = objects.size() == 1 ? subject : fmt::format("{}/{}", subject, i);
    std::vector<KeypointClip> added;
    add_clips(added, part, subject, false, wanted, which);
    for (KeypointClip& clip : added) {
      if (objects.size() > 1) clip.name = fmt::format("{}/0", name_here);
      clips.push_back(std::move(clip));
    }
  }
}

// The array with a known name and a shape that fits; "" where there is none.
std::string known_array(const NpzReader& file, Wanted wanted) {
  for (const std::string_view name : names_for(wanted)) {
    const std::string known(name);
    if (!file.has(known)) continue;
    if (is_pickled(file, known) || as_sequences(file.read(known).shape, wanted)) return known;
  }
  return "";
}

// The array of an npz file that is wanted: that with a known name, else the only one that may be.
std::string chosen_array(const NpzReader& file, Wanted wanted) {
  if (const std::string known = known_array(file, wanted); !known.empty()) return known;
  std::vector<std::string> fits;
  for (const std::string& name : file.names()) {
    if (std::ranges::find(kNoJoints, name) != kNoJoints.end() || is_pickled(file, name)) continue;
    try {
      const auto shape = as_sequences(file.read(name).shape, wanted);
      if (shape && is_known_count((*shape)[2])) fits.push_back(name);
    } catch (const Error&) {
      continue;  // an array of texts, for example
    }
  }
  if (fits.size() == 1) return fits[0];
  fail("{}: {} arrays look like {} poses (it has {}); name the one that is meant {}",
       file.where("").substr(0, file.where("").find(": array")), fits.size(),
       wanted == Wanted::keypoints ? "2D" : "3D", arrays_text(file),
       wanted == Wanted::keypoints ? "'keypoints_2d'" : "'keypoints_3d'");
}

// A number, or two, that an npz file may say beside the poses.
std::vector<double> numbers_named(const NpzReader& file, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (!file.has(name) || is_pickled(file, name)) continue;
    const NpyArray array = file.read(name);
    if (array.size() <= 2) return array.as<double>();
  }
  return {};
}

void add_facts(KeypointClip& clip, const NpzReader& file) {
  const auto fps = numbers_named(file, {"fps", "frame_rate", "framerate"});
  if (fps.size() == 1 && fps[0] > 0 && fps[0] <= 1000) clip.fps = fps[0];
  const auto size =
      numbers_named(file, {"image_size", "size", "img_size", "vid_size", "resolution"});
  const auto is_extent = [](double v) { return v >= 1 && v <= 1e6 && v == std::floor(v); };
  if (size.size() == 2 && std::ranges::all_of(size, is_extent)) {
    clip.image_size = {static_cast<std::int32_t>(size[0]), static_cast<std::int32_t>(size[1])};
  }
}

bool holds_both(const KeypointInput& input) {
  if (input.kind() != FileKind::npz) return false;
  const std::string image = known_array(input.npz(), Wanted::keypoints);
  const std::string body = known_array(input.npz(), Wanted::estimates);
  return !image.empty() && !body.empty() && image != body;
}

bool recognises(const KeypointInput& input) {
  return input.kind() == FileKind::npy || input.kind() == FileKind::npz;
}

std::vector<KeypointClip> read(const KeypointInput& input, Wanted wanted) {
  std::vector<KeypointClip> clips;
  if (input.kind() == FileKind::npy) {
    add_clips(clips, input.npy(), input.subject(), false, wanted, input.path());
  } else {
    const NpzReader& file = input.npz();
    const auto is_dataset = [](const std::string& name) { return name.ends_with("/pose_2d"); };
    if (std::ranges::any_of(file.names(), is_dataset)) {
      fail("{}: is a dataset already; give it to the next command as it is", input.path());
    }
    if (file.has("positions_3d")) {
      fail("{}: holds VideoPose3D's 3D poses; `posetape prepare h36m` reads them", input.path());
    }
    const std::string name = chosen_array(file, wanted);
    if (is_pickled(file, name)) {
      add_pickled(clips, file, name, input.subject(), wanted);
    } else {
      add_clips(clips, file.read(name), input.subject(), name == "reconstruction", wanted,
                file.where(name));
    }
    for (KeypointClip& clip : clips) {
      add_facts(clip, file);
      if (name == "reconstruction" && clip.keypoints == 17) clip.layout = KeypointLayout::h36m;
    }
  }
  for (KeypointClip& clip : clips) {
    const bool landmarks = has_count(KeypointLayout::mediapipe, clip.keypoints);
    clip.fractions = landmarks && wanted == Wanted::keypoints && are_fractions(clip);
    if (clip.keypoints == 17 && wanted == Wanted::estimates) clip.layout = KeypointLayout::h36m;
  }
  return clips;
}

}  // namespace

extern const KeypointFormatRule arrays_format;
const KeypointFormatRule arrays_format{"arrays in npz or npy (frames, keypoints, coordinates)",
                                       recognises, read, holds_both};

}  // namespace posetape::data

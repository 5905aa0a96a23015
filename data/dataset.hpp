// Pose sequences in memory, the one shape that every command reads and writes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/npz.hpp"

namespace posetape::data {

inline constexpr int kJoints = 17;

// F frames of 17 joints with C coordinates, row-major [F][17][C].
struct PoseArray {
  int channels = 0;  // 2 or 3
  std::vector<float> values;

  int frames() const {
    return channels == 0 ? 0 : static_cast<int>(values.size() / std::size_t(kJoints * channels));
  }
  float* frame(int f) { return values.data() + std::size_t(f) * kJoints * channels; }
  const float* frame(int f) const { return values.data() + std::size_t(f) * kJoints * channels; }
};

// One clip seen by one camera. `name` is "<subject>/<action or trial>/<camera>". Other people's
// names may be shorter: "a/b" is subject a, action b; "a" is its own subject and action.
struct Sequence {
  std::string name;
  PoseArray pose_2d;                    // pixels
  std::optional<PoseArray> pose_3d;     // ground truth, camera space, metres, root with trajectory
  std::optional<PoseArray> noisy_3d;    // base estimate, root-relative, metres
  std::optional<PoseArray> refined_3d;  // result, root-relative, metres
  // How sure the result is: a standard deviation of each coordinate, metres, as refined_3d; 0 of
  // joint 0, by which coordinates are relative. Absent where the refiner doesn't know
  // (data/uncertainty.hpp).
  std::optional<PoseArray> refined_std;
  // Of results with planted feet (data/planted_feet.hpp): where joint 0 is, [F][3] in camera space,
  // metres; and whether the right and the left foot are on the ground, [F][2], 1 or 0. Absent
  // elsewhere.
  std::optional<std::vector<float>> refined_root;
  std::optional<std::vector<float>> feet_down;
  // The last of the windows of T frames that an estimate was made in, where it is not a window like
  // the others: all T frames as the network gave them, also those that the window before has
  // (which noisy_3d keeps) and those that pad a clip shorter than T. Made and scored under
  // protocols that count windows whole (data/protocol.hpp), absent elsewhere.
  std::optional<PoseArray> noisy_3d_last_window;
  std::optional<PoseArray> refined_3d_last_window;
  // How sure the detector was of each joint of pose_2d, [F][17] in [0, 1]; 0: not seen, so that its
  // coordinates are interpolated or guessed. Absent where nothing is known.
  std::optional<std::vector<float>> confidence;
  std::array<std::int32_t, 2> image_size{0, 0};  // width, height in pixels
  float fps = 50;
  bool fps_known = true;  // false: the file does not say it, and 50 is a guess
  // The lens, where it is known: fx, fy, cx, cy in pixels, then OpenCV's k1, k2, p1, p2, k3; and
  // the direction up in camera space (data/calibration.hpp).
  std::optional<std::array<double, 9>> intrinsics;
  std::optional<std::array<double, 3>> up;

  int frames() const { return pose_2d.frames(); }
  // The confidence of a joint, 1 where nothing is known.
  float sure(int frame, int joint) const {
    return confidence ? (*confidence)[std::size_t(frame) * kJoints + std::size_t(joint)] : 1.0F;
  }
  std::string_view subject() const;  // up to the first '/'
  std::string_view action() const;   // between the first and the last '/'
  // All cameras of one performance share "<subject>/<action>".
  std::string_view clip() const;
};

// Names that nobody else has: what is taken again is "<subject>/<action>_2/<camera>".
class FreeNames {
 public:
  std::string take(const std::string& name);

 private:
  std::set<std::string> taken_;
};

// A whole file. Sequences keep the order of the file.
struct Dataset {
  std::vector<Sequence> sequences;
  // Subjects that no training may see. Stored in the file as the array "test_subjects" (UTF-8
  // bytes, one name a line), so that every later command uses the same split.
  std::vector<std::string> test_subjects;
  // What made the file, as JSON text (command, seed, source, units). Array "metadata".
  std::string metadata;

  bool is_test(const Sequence& sequence) const;
};

struct ReadOptions {
  // Leaves out sequences with NaN or infinite coordinates that cannot be bridged instead of
  // failing.
  bool drop_invalid = false;
};

struct ReadReport {
  std::vector<std::string> dropped;  // names of the sequences that drop_invalid left out

  // Gaps of an estimator that were bridged (data/gaps.hpp).
  struct Bridged {
    std::string sequence;
    std::string field;
    std::int64_t joints = 0;  // in all frames
    std::int64_t frames = 0;  // with one or more of them
  };
  std::vector<Bridged> bridged;
};

// Reads a pose file: an npz with arrays "<sequence>/<field>", fields as the members of Sequence.
//
//   pose_2d                           (F, 17, 2)  float32 or float64, needed
//   pose_3d, noisy_3d, refined_3d     (F, 17, 3)  float32 or float64
//   refined_std                       (F, 17, 3)  float32 or float64, 0 or more
//   refined_root                      (F, 3)      float32 or float64
//   feet_down                         (F, 2)      float32 or float64, 0 or 1
//   confidence                        (F, 17)     float32 or float64 in [0, 1]
//   image_size                        (2,)        integers, needed
//   fps                               ()          any number, 50 where it is absent
//   intrinsics                        (9,)        float32 or float64
//   up                                (3,)        float32 or float64
//
//   noisy_3d_last_window, refined_3d_last_window   (T, 17, 3)  float32 or float64
//
// Arrays with other names are ignored. Joints of pose_2d and noisy_3d that are missing for at most
// half a second are interpolated over time, and counted in the report; the confidence of such a
// joint of pose_2d is 0. Missing are NaN and infinite coordinates, joints of pose_2d at (0, 0) and
// 3D poses that are zero in all joints (zeros_to_gaps).
//
// Throws Error with the file, the sequence, the array, what was expected, what was found and a
// hint: whatever NpzReader refuses, a missing or misshapen array, no sequence, no frame, lengths
// that differ, longer gaps, and any gap of pose_3d or refined_3d (the truth is not invented, and a
// result not mended). Whether the numbers make sense is data/plausibility.hpp's to say.
Dataset read_dataset(const std::string& path, const ReadOptions& options = {},
                     ReadReport* report = nullptr);

struct WriteOptions {
  int deflate_level = 0;  // as in data/npz.hpp
  // Arrays beside the dataset's, with names that are none of its own: read_dataset ignores them.
  std::span<const NamedArray> also = {};
};

// Writes the same format, atomically. Equal datasets make equal bytes.
void write_dataset(const std::string& path, const Dataset& dataset,
                   const WriteOptions& options = {});

}  // namespace posetape::data

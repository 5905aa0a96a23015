// Evaluation protocols: the choices that published figures for the same network differ by.
//
// `lift` and `refine` make estimates under a protocol, `evaluate` scores them under one. Whatever
// was chosen is stored beside the poses and printed beside the figures.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/dataset.hpp"
#include "data/windows.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// The estimate's root joint before it is compared with the truth's, which is the origin.
enum class RootRule { zero, as_estimated };
// What the metadata says of the latter.
inline constexpr const char* kRootAsEstimated = "as estimated";

// A frame that is in two windows, and one that pads a clip shorter than a window.
enum class Counting {
  once,         // every frame of a clip counts once, padding never
  each_window,  // every frame of every window counts, padding too
};

// How the velocities (and accelerations) of an action's clips are averaged.
enum class VelocityRule {
  by_pair,   // every pair of consecutive frames weighs the same
  by_frame,  // a clip's mean weighs with its frames, one more than it has pairs
};

enum class ProtocolName { sequence, mixste_seq2seq, stcformer_centre, vp3d };
constexpr auto choices(ProtocolName) {
  using enum ProtocolName;
  return make_choices<ProtocolName>(
      "protocol", {{sequence, "sequence", "every frame once"},
                   {mixste_seq2seq, "mixste-seq2seq", "disjoint windows, each counted whole"},
                   {stcformer_centre, "stcformer-centre", "a window around each frame"},
                   {vp3d, "vp3d", "the same, the root as it is estimated"}});
}

struct Protocol {
  ProtocolName name = ProtocolName::sequence;
  WindowRule windows = WindowRule::every_stride;
  bool flip_average = false;  // the estimates for a pose and its mirror image are averaged
  RootRule root = RootRule::zero;
  Counting counting = Counting::once;
  VelocityRule velocity = VelocityRule::by_pair;
  // In all of them the error of an action is the mean over the frames of its clips, and the final
  // figure the unweighted mean over the actions; velocities never cross from one clip to another.
};

// The protocols:
//   sequence          this project's own: every frame once
//   mixste-seq2seq    MixSTE (and D3DP): disjoint windows, the last one counted as a whole; its
//                     velocities run over the windows end to end, also across that last joint
//   stcformer-centre  STCFormer: the middle frame of a window around each frame
//   vp3d              VideoPose3D: the same by convolution
Protocol protocol_of(ProtocolName name);

// Whether the last window of each sequence is kept whole beside the estimate
// (Sequence::noisy_3d_last_window): the protocol counts it, and an estimate has one pose a frame,
// where that window and the one before may have two, and none for padding.
bool keeps_last_windows(const Protocol& protocol, const WindowCut& cut);

// What is stored and printed, as pairs of a choice and its value. `frames` is the window's T, which
// only Counting::each_window needs.
nlohmann::ordered_json provenance(const Protocol& protocol, const WindowCut& cut,
                                  bool flip_average);
nlohmann::ordered_json scoring(const Protocol& protocol, int frames);

// "choice: value; ..." of such pairs.
std::string choices_text(const nlohmann::ordered_json& choices);

// How the poses in `field` ("noisy_3d", "refined_3d") were made, kept in Dataset::metadata under
// that name. Null where the file doesn't say.
void set_provenance(Dataset& dataset, const char* field, const nlohmann::ordered_json& provenance);
nlohmann::ordered_json provenance(const Dataset& dataset, const char* field);
// Takes away the refined poses, and all that is known of them: they are of another base.
void forget_refined(Dataset& dataset);

// Adds to the metadata how many joints of each sequence were interpolated while it was read, under
// "interpolated_joints", where `prepare keypoints` has its own.
void note_bridged(Dataset& dataset, const ReadReport& report);

}  // namespace posetape::data

#include "data/protocol.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

using Json = nlohmann::ordered_json;

// By ProtocolName.
constexpr std::array<Protocol, kChoices<ProtocolName>.list.size()> kProtocols{{
    {.name = ProtocolName::sequence},
    {.name = ProtocolName::mixste_seq2seq,
     .flip_average = true,
     .root = RootRule::as_estimated,
     .counting = Counting::each_window,
     .velocity = VelocityRule::by_frame},
    {.name = ProtocolName::stcformer_centre,
     .windows = WindowRule::centre_frame,
     .flip_average = true},
    {.name = ProtocolName::vp3d,
     .windows = WindowRule::centre_frame,
     .flip_average = true,
     .root = RootRule::as_estimated,
     .velocity = VelocityRule::by_frame},
}};

std::string windows_text(const WindowCut& cut) {
  const std::string step = cut.step == 1 ? "" : fmt::format(", {} frames apart", cut.step);
  if (cut.rule == WindowRule::centre_frame) {
    return fmt::format("{} frames{} around each frame, the middle one kept", cut.frames, step);
  }
  const char* overlap = cut.stride < cut.frames && cut.overlap == Overlap::smooth
                            ? "overlaps averaged by a raised cosine"
                        : cut.stride < cut.frames
                            ? "overlaps averaged"
                            : "the last ends with the clip, where the window before has precedence";
  return fmt::format("{} frames{} every {}, {}", cut.frames, step, cut.stride, overlap);
}

const char* root_text(RootRule rule) {
  return rule == RootRule::zero ? "set to zero" : kRootAsEstimated;
}

// The metadata as an object; text of another kind becomes its "source".
Json metadata_object(const std::string& text) {
  if (text.empty()) return Json::object();
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json{{"source", text}};
}

}  // namespace

Protocol protocol_of(ProtocolName name) {
  return kProtocols[static_cast<std::size_t>(name)];
}

bool keeps_last_windows(const Protocol& protocol, const WindowCut& cut) {
  return protocol.counting == Counting::each_window && merge_of(cut) == Merge::owned;
}

Json provenance(const Protocol& protocol, const WindowCut& cut, bool flip_average) {
  return {{"protocol", name(protocol.name)},
          {"window_frames", cut.frames},
          {"windows", windows_text(cut)},
          {"padding", cut.rule == WindowRule::centre_frame
                          ? "first and last frame repeated"
                          : "last frame repeated, only in clips shorter than a window"},
          {"root", root_text(protocol.root)},
          {"flip_average", flip_average ? "yes" : "no"}};
}

Json scoring(const Protocol& protocol, int frames) {
  return {{"protocol", name(protocol.name)},
          {"frames", protocol.counting == Counting::once
                         ? "each once"
                         : fmt::format("each window of {} whole, its padding too", frames)},
          {"root", root_text(protocol.root)},
          {"mean", "over an action's frames, then over actions"},
          {"velocities", protocol.velocity == VelocityRule::by_pair ? "each pair of frames the same"
                                                                    : "clips weigh by frames"},
          {"poses", "17 joints, relative to the root"}};
}

std::string choices_text(const Json& choices) {
  std::string text;
  for (const auto& [choice, value] : choices.items()) {
    if (!text.empty()) text += "; ";
    text +=
        fmt::format("{}: {}", choice, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

void set_provenance(Dataset& dataset, const char* field, const Json& provenance) {
  Json json = metadata_object(dataset.metadata);
  json[field] = provenance;
  dataset.metadata = json.dump();
}

void forget_refined(Dataset& dataset) {
  for (Sequence& s : dataset.sequences) {
    s.refined_3d.reset();
    s.refined_std.reset();
    s.refined_root.reset();
    s.feet_down.reset();
    s.refined_3d_last_window.reset();
  }
  Json json = metadata_object(dataset.metadata);
  if (json.erase("refined_3d") > 0) dataset.metadata = json.dump();
}

Json provenance(const Dataset& dataset, const char* field) {
  const Json json = metadata_object(dataset.metadata);
  const auto found = json.find(field);
  return found != json.end() && found->is_object() ? *found : Json();
}

void note_bridged(Dataset& dataset, const ReadReport& report) {
  if (report.bridged.empty()) return;
  Json json = metadata_object(dataset.metadata);
  Json& counts = json["interpolated_joints"];
  if (!counts.is_object()) counts = Json::object();
  for (const ReadReport::Bridged& b : report.bridged) {
    Json& count = counts[b.sequence];
    count = (count.is_number_integer() ? count.get<std::int64_t>() : 0) + b.joints;
  }
  dataset.metadata = json.dump();
}

}  // namespace posetape::data

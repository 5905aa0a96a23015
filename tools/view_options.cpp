#include "tools/view_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/calibration.hpp"
#include "engine/error.hpp"
#include "tools/files.hpp"

namespace posetape::tools {
namespace {

void say(const std::string& path, const std::string& text) {
  fmt::print(stderr, "{}: note: {}\n", shown(path), text);
}

// The camera that --intrinsics and --up describe, for every clip.
void set_lens(data::Dataset& dataset, const std::vector<double>& values,
              const std::vector<double>& up) {
  for (data::Sequence& s : dataset.sequences) {
    s.intrinsics.emplace();
    s.intrinsics->fill(0);
    std::ranges::copy(values, s.intrinsics->begin());
    s.up.reset();
    if (!up.empty()) s.up = {up[0], up[1], up[2]};
  }
}

void say_unknown(const data::Dataset& dataset, const std::string& path,
                 const data::Convention& convention, const std::string& checkpoint) {
  if (convention.fps > 0) {
    const auto unknown = std::ranges::count_if(
        dataset.sequences, [](const data::Sequence& s) { return !s.fps_known; });
    if (unknown > 0) {
      say(path,
          fmt::format("{} sequences don't say their frame rate, and are taken for {:g} frames "
                      "a second, which {} was trained on; store it as 'fps'",
                      unknown, convention.fps, shown(checkpoint)));
    }
  }
  const auto joints = data::joints_of(dataset);
  if (!fits(convention.joints, joints)) {
    fmt::print(stderr,
               "posetape: warning: {}: its joints are those of '{}', and {} was trained on '{}' "
               "(`prepare --joints`): hip, spine, thorax, neck and head have other places, and "
               "results will be off by that\n",
               shown(path), name(joints), shown(checkpoint), name(convention.joints));
  }
}

}  // namespace

data::Convention convention_of(const TensorFile& file, const std::string& path) {
  const auto found = file.metadata.find(data::kConvention);
  if (found == file.metadata.end()) return {};
  return data::parse_convention(found->second, path);
}

void ViewOptions::add_to(const Command& command) {
  const Option file =
      command.add_option("--camera", camera,
                         "Calibration (JSON, data/README.md, or of Qualisys or Pose2Sim) of the "
                         "cameras, by the last part of a "
                         "sequence's name, or "
                         "of the only one: clips are seen as by a camera that stands level");
  command.add_option("--camera-name", camera_name,
                     "With --camera: the one of its cameras that filmed all clips");
  command
      .add_option("--intrinsics", intrinsics,
                  "The same for all clips: fx,fy,cx,cy in pixels, then OpenCV's k1,k2,p1,p2,k3")
      .list()
      .values(4, 9)
      .excludes(file);
  command
      .add_option(
          "--up", up,
          "With --intrinsics: the direction up in camera space (x right, y down, z forward), "
          "as from a phone's accelerometer (default: 0,-1,0, a camera that stands level)")
      .list()
      .values(3, 3)
      .excludes(file);
  command.add_flag("--keep-rate", keep_rate,
                   "Take frames as they are, where a clip has another rate than the network was "
                   "trained at");
}

data::Convention ViewOptions::set_cameras(data::Dataset& dataset, const std::string& path,
                                          data::Convention convention,
                                          const std::string& checkpoint) const {
  if (!up.empty() && intrinsics.empty()) fail("--up: needs --intrinsics; or give --camera FILE");
  if (!camera_name.empty() && camera.empty()) fail("--camera-name: needs --camera FILE");
  if (!up.empty() && std::ranges::count(up, 0.0) == 3) fail("--up 0,0,0 is no direction");
  if (!intrinsics.empty()) {
    if (!(intrinsics[0] > 0 && intrinsics[1] > 0)) fail("--intrinsics: fx and fy are above 0");
    set_lens(dataset, intrinsics, up);
  }
  if (!camera.empty()) {
    auto cameras = data::read_calibration(camera);
    if (!camera_name.empty()) cameras = data::named(std::move(cameras), camera_name, camera);
    data::set_calibration(dataset, cameras, camera);
  }
  if (!camera.empty() || !intrinsics.empty()) convention.normalisation = data::Normalisation::rays;
  if (!quiet) say_unknown(dataset, path, convention, checkpoint);
  return convention;
}

data::View ViewOptions::view(data::Dataset& dataset, const std::string& path,
                             data::Convention convention, const std::string& checkpoint,
                             const WindowOptions& windows) const {
  convention = set_cameras(dataset, path, convention, checkpoint);
  const bool sequence = windows.protocol == data::ProtocolName::sequence;
  data::View view(dataset, convention, sequence && !keep_rate);
  if (!quiet && view.resampled() > 0) {
    say(path, fmt::format("{} sequences have another frame rate than the {:g} a second that {} was "
                          "trained at: resampled to it, and results back",
                          view.resampled(), convention.fps, shown(checkpoint)));
  }
  return view;
}

}  // namespace posetape::tools

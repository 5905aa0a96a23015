// C3D as a format of motion: markers out of it, and joints into it.
#include "data/c3d.hpp"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

constexpr std::size_t kBlock = 512;
// What the low byte of a residual counts: hundredths of 1 - confidence, or metres.
constexpr double kHundredth = 0.01;
constexpr double kResidualStep = 0.002;

std::optional<double> unit_of(const C3d& c3d) {
  const C3dParameter* units = c3d.find("POINT", "UNITS");
  if (units == nullptr || units->texts.empty()) return std::nullopt;
  return named_unit(units->texts[0]);
}

std::optional<UpAxis> up_of(const C3d& c3d) {
  const C3dParameter* screen = c3d.find("POINT", "Y_SCREEN");
  if (screen == nullptr || screen->texts.empty() || screen->texts[0].empty()) return std::nullopt;
  std::string text = screen->texts[0];
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text.front() == '+') text.erase(0, 1);
  for (const auto& choice : kChoices<UpAxis>.list) {
    if (text == choice.text) return choice.value;
  }
  return std::nullopt;
}

// ---- Writing ----

class Writer {
 public:
  void byte(int value) { bytes_ += static_cast<char>(value); }
  void word(std::int64_t value) {
    byte(static_cast<int>(value & 0xff));
    byte(static_cast<int>(value >> 8 & 0xff));
  }
  void real(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    word(bits & 0xffff);
    word(bits >> 16);
  }
  void text(std::string_view text) { bytes_ += text; }
  void fill_block() { bytes_.resize((bytes_.size() + kBlock - 1) / kBlock * kBlock, '\0'); }
  std::size_t size() const { return bytes_.size(); }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

// The records of a parameter section.
class Parameters {
 public:
  void group(std::string_view name) {
    ++group_;
    record(name, -group_, std::string(1, '\0'));
  }
  void words(std::string_view name, std::initializer_list<std::int64_t> values,
             bool single = true) {
    Writer data;
    head(data, 2, values.size(), single);
    for (const std::int64_t value : values) data.word(value);
    parameter(name, data);
  }
  void reals(std::string_view name, std::initializer_list<float> values, bool single = true) {
    Writer data;
    head(data, 4, values.size(), single);
    for (const float value : values) data.real(value);
    parameter(name, data);
  }
  // Texts of one length, filled with spaces.
  void texts(std::string_view name, const std::vector<std::string>& texts) {
    std::size_t length = 1;
    for (const std::string& text : texts) length = std::max(length, text.size());
    length = std::min<std::size_t>(length, 127);
    Writer data;
    data.byte(-1);
    data.byte(2);
    data.byte(static_cast<int>(length));
    data.byte(static_cast<int>(texts.size()));
    for (std::string text : texts) {
      text.resize(length, ' ');
      data.text(text);
    }
    parameter(name, data);
  }
  void text(std::string_view name, std::string_view text) {
    Writer data;
    data.byte(-1);
    data.byte(1);
    data.byte(static_cast<int>(std::min<std::size_t>(text.size(), 127)));
    data.text(text.substr(0, 127));
    parameter(name, data);
  }
  // The whole section, with its own head, in blocks.
  std::string section() {
    Writer all;
    const std::size_t blocks = (4 + records_.size() + 2 + kBlock - 1) / kBlock;
    all.byte(1);
    all.byte(0x50);
    all.byte(static_cast<int>(blocks));
    all.byte(static_cast<int>(C3dProcessor::intel));
    all.text(records_.bytes());
    all.word(0);  // no record follows
    all.fill_block();
    return all.bytes();
  }

 private:
  static void head(Writer& data, int type, std::size_t count, bool single) {
    data.byte(type);
    data.byte(single ? 0 : 1);
    if (!single) data.byte(static_cast<int>(count));
  }
  void parameter(std::string_view name, Writer& data) {
    data.byte(0);  // no description
    record(name, group_, data.bytes());
  }
  void record(std::string_view name, int id, const std::string& data) {
    records_.byte(static_cast<int>(name.size()));
    records_.byte(id);
    records_.text(name);
    records_.word(static_cast<std::int64_t>(data.size()) + 2);
    records_.text(data);
  }

  int group_ = 0;
  Writer records_;
};

// POINT:SCALE, negative where points are floats: the unit of residuals.
float scale_of(const PoseClip& clip, const ExportOptions& options) {
  return static_cast<float>(
      -(clip.std == nullptr ? kHundredth : kResidualStep / metres(options.unit)));
}

std::string parameter_section(const PoseClip& clip, const ExportOptions& options,
                              std::size_t data_block) {
  const std::int64_t frames = clip.poses->frames();
  const std::vector<std::string> labels(kJointNames.begin(), kJointNames.end());
  Parameters p;
  p.group("POINT");
  p.words("USED", {kJoints});
  p.reals("SCALE", {scale_of(clip, options)});
  p.reals("RATE", {static_cast<float>(clip.fps)});
  p.words("DATA_START", {static_cast<std::int64_t>(data_block)});
  p.words("FRAMES", {std::min<std::int64_t>(frames, 65535)});
  if (frames > 65535) p.reals("LONG_FRAMES", {static_cast<float>(frames)});
  p.texts("LABELS", labels);
  p.texts("DESCRIPTIONS", std::vector<std::string>(kJoints, ""));
  p.text("UNITS", name(options.unit));
  const bool camera = options.up == Axes::camera;
  p.text("X_SCREEN", "+X");
  p.text("Y_SCREEN", camera ? "-Y" : options.up == Axes::y ? "+Y" : "+Z");
  p.group("ANALOG");
  p.words("USED", {0});
  p.reals("RATE", {static_cast<float>(clip.fps)});
  p.reals("GEN_SCALE", {1.0f});
  p.reals("SCALE", {}, false);
  p.words("OFFSET", {}, false);
  p.texts("LABELS", {});
  p.texts("DESCRIPTIONS", {});
  p.texts("UNITS", {});
  p.group("FORCE_PLATFORM");
  p.words("USED", {0});
  p.words("TYPE", {}, false);
  p.words("ZERO", {1, 0}, false);
  p.group("TRIAL");
  p.words("ACTUAL_START_FIELD", {1, 0}, false);
  p.words("ACTUAL_END_FIELD", {frames & 0xffff, frames >> 16}, false);
  p.group("POSETAPE");
  p.text("SEQUENCE", clip.name);
  p.text("FIELD", options.field);
  p.text("AXES", words(options.up));
  p.text("RESIDUAL", clip.std != nullptr          ? "standard deviation, of x, y and z together"
                     : clip.confidence != nullptr ? "1 - confidence"
                                                  : "unknown");
  return p.section();
}

std::string header(const PoseClip& clip, const ExportOptions& options, std::size_t data_block) {
  const int frames = clip.poses->frames();
  Writer head;
  head.byte(2);
  head.byte(0x50);
  head.word(kJoints);
  head.word(0);
  head.word(1);
  head.word(std::min(frames, 65535));
  head.word(0);
  head.real(scale_of(clip, options));
  head.word(static_cast<std::int64_t>(data_block));
  head.word(1);  // analog samples a frame: ANALOG:RATE / POINT:RATE
  head.real(static_cast<float>(clip.fps));
  head.fill_block();
  return head.bytes();
}

// How sure a point is, in the low byte, times |scale|.
float residual_word(const PoseClip& clip, std::size_t i) {
  if (clip.std != nullptr) {
    const float* s = clip.std->values.data() + 3 * i;
    const double length = std::hypot(double{s[0]}, double{s[1]}, double{s[2]});
    return static_cast<float>(std::round(std::min(length / kResidualStep, 255.0)));
  }
  if (clip.confidence == nullptr) return 0;
  return std::round(100 * (1 - std::clamp((*clip.confidence)[i], 0.0f, 1.0f)));
}

}  // namespace

MarkerTrack c3d_markers(const C3d& c3d) {
  MarkerTrack track;
  track.file = c3d.file;
  track.labels = c3d.labels;
  track.frames = c3d.frames;
  track.points = c3d.points;
  track.fps =
      std::abs(c3d.rate / std::round(c3d.rate) - 1) < 5e-4 ? std::round(c3d.rate) : c3d.rate;
  track.metres_per_unit = unit_of(c3d);
  track.up = up_of(c3d);
  track.notes = c3d.notes;
  return track;
}

std::string format_c3d(const PoseClip& clip, const ExportOptions& options) {
  std::size_t data_block = 1;
  data_block += 1 + parameter_section(clip, options, 0).size() / kBlock;
  Writer out;
  out.text(header(clip, options, data_block));
  out.text(parameter_section(clip, options, data_block));
  for (int f = 0; f < clip.poses->frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      for (const double x : exported(clip, f, j, options)) out.real(static_cast<float>(x));
      out.real(residual_word(clip, std::size_t(f) * kJoints + std::size_t(j)));
    }
  }
  out.fill_block();
  return std::move(out.bytes());
}

// ---- The format ----

namespace {

std::vector<Motion> read(const std::filesystem::path& file, const MotionOptions& options) {
  return marker_motions(c3d_markers(parse_c3d(read_text(file), file.string())), options);
}

void parse(std::string_view bytes) {
  const C3d c3d = parse_c3d(bytes, "file.c3d");
  if (c3d.points.size() > 4'000'000) return;
  marker_motions(c3d_markers(c3d), {});
}

// The block of the parameters and 'P', which text hardly begins with.
bool begins(std::string_view start) {
  return start.size() > 20 && start[1] == 'P' && start[0] > 1 && start[0] < '\t';
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  for (const PoseClip& clip : clips) sink(format_c3d(clip, options));
}

}  // namespace

const FormatRule c3d_format{
    .name = "c3d",
    .title = "motion capture in C3D",
    .endings = {".c3d"},
    .begins = begins,
    .reader = FormatReader{.help = "From markers or joints in C3D files (Vicon, Qualisys, ...)",
                           .files = ".c3d files, or a folder of them for each subject",
                           .example = "posetape prepare c3d trials/ -o data.npz --markers my.map",
                           .hip = true,
                           .map = "--markers",
                           .read = read,
                           .parse = parse},
    .writer = FormatWriter{.help = "points for biomechanics",
                           .all_in_one = false,
                           .pixels = false,
                           .certainty = true,
                           .unit = Unit::mm,
                           .up = Axes::z,
                           .fixed = false,
                           .write = write}};

}  // namespace posetape::data

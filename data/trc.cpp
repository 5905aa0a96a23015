#include "data/trc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "data/printable.hpp"
#include "data/skeleton.hpp"
#include "data/text_lines.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \r\"");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \r\"") - first + 1);
}

// A file's lines as cells: between tabs, or, where a line has none, between spaces.
class Table {
 public:
  Table(std::string_view text, const std::string& file) : text_(text), file_(file) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  // The next line, also an empty one; false at the end.
  bool next() {
    if (at_ >= text_.size()) return false;
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    split(text_.substr(at_, end - at_));
    at_ = end + 1;
    ++number_;
    return true;
  }
  bool next_filled() {
    while (next()) {
      if (std::ranges::any_of(cells_, [](std::string_view c) { return !c.empty(); })) return true;
    }
    cells_.clear();
    return false;
  }

  const std::vector<std::string_view>& cells() const { return cells_; }
  std::string_view cell(std::size_t i) const {
    return i < cells_.size() ? cells_[i] : std::string_view{};
  }

  template <class... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> expected, Args&&... args) const {
    fail("{}:{}: expected {}", file_, number_, fmt::format(expected, std::forward<Args>(args)...));
  }

  // A number; NaN for an empty cell and for "NaN" in all its spellings.
  double number(std::string_view cell, std::string_view of) const {
    std::string_view digits = cell;
    if (digits.size() > 1 && digits.front() == '+') digits.remove_prefix(1);
    double value = 0;
    const char* last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, value);
    const bool whole = error == std::errc{} && end == last;
    if (cell.empty() || (whole && !std::isfinite(value)) || is_nan(cell)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (!whole) bad("a number for {}, found '{}'", of, printable(cell));
    return value;
  }

 private:
  // "NaN", "-nan(ind)", "1.#QNAN"
  static bool is_nan(std::string_view cell) {
    return lower(cell).find("nan") != std::string::npos || cell.find('#') != std::string_view::npos;
  }

  void split(std::string_view line) {
    cells_.clear();
    if (line.find('\t') == std::string_view::npos) {
      while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(" \r"), line.size()));
        if (line.empty()) return;
        const std::size_t end = std::min(line.find_first_of(" \r"), line.size());
        cells_.push_back(line.substr(0, end));
        line.remove_prefix(end);
      }
    }
    for (std::size_t start = 0; start <= line.size();) {
      const std::size_t end = std::min(line.find('\t', start), line.size());
      cells_.push_back(trimmed(line.substr(start, end - start)));
      start = end + 1;
    }
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  int number_ = 0;
  std::vector<std::string_view> cells_;
};

struct Header {
  double rate = 0;
  double frames = 0;
  double markers = 0;
  std::string unit;
};

// Lines 2 and 3: keys and what they are.
Header parse_header(Table& table) {
  Header header;
  if (!table.next_filled()) table.bad("DataRate, NumFrames, ..., found the end of the file");
  std::vector<std::string> keys;
  for (const std::string_view cell : table.cells()) keys.push_back(lower(cell));
  if (!table.next_filled()) table.bad("the values of the header, found the end of the file");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string_view cell = table.cell(i);
    if (keys[i] == "datarate") header.rate = table.number(cell, "DataRate");
    if (keys[i] == "numframes") header.frames = table.number(cell, "NumFrames");
    if (keys[i] == "nummarkers") header.markers = table.number(cell, "NumMarkers");
    if (keys[i] == "units") header.unit = cell;
  }
  return header;
}

// The names, each over three columns, from the third column on.
std::vector<std::string> parse_labels(Table& table) {
  if (!table.next_filled() || !lower(table.cell(0)).starts_with("frame")) {
    table.bad("'Frame#', 'Time' and the markers' names, found '{}'", printable(table.cell(0)));
  }
  std::vector<std::string> labels;
  const auto& cells = table.cells();
  // Written between single spaces, or over three columns each.
  const bool close = cells.size() > 3 && !cells[3].empty();
  for (std::size_t i = 2; i < cells.size(); i += close ? 1 : 3) labels.emplace_back(cells[i]);
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  if (labels.empty()) table.bad("the names of markers after 'Time', found none");
  return labels;
}

// What the column of times says, if there is one: the rate, and where each row is among the frames,
// some of which may have none.
struct Times {
  double rate = 0;
  std::vector<std::size_t> places;  // of the rows, from 0
};

std::optional<Times> times_of(const std::vector<double>& times, const std::string& file) {
  if (times.size() < 2) return std::nullopt;
  std::vector<double> steps;
  for (std::size_t i = 1; i < times.size(); ++i) steps.push_back(times[i] - times[i - 1]);
  std::vector<double> sorted = steps;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  const double step = *middle;
  const double span = times.back() - times.front();
  if (!(step > 1e-6 && span > 1e-6)) return std::nullopt;
  // Times that go back say nothing.
  if (std::ranges::any_of(steps, [](double s) { return s < 0; })) return std::nullopt;
  Times result;
  result.places.push_back(0);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const double frames = std::max(1.0, std::round(steps[i] / step));
    const double place = static_cast<double>(result.places.back()) + frames;
    if (place > 100.0 * static_cast<double>(times.size())) {  // memory for what few bytes claim
      fail("{}: expected times that go on, found {} s after {} s", file, times[i + 1], times[i]);
    }
    result.places.push_back(static_cast<std::size_t>(place));
  }
  const double rate = static_cast<double>(result.places.back()) / span;
  result.rate = std::abs(rate / std::round(rate) - 1) < 5e-4 ? std::round(rate) : rate;
  return result;
}

// Rows that are missing become frames without a marker.
void insert_missing(MarkerTrack& track, const std::vector<std::size_t>& places) {
  const std::size_t frames = places.back() + 1;
  if (frames == track.frames) return;
  const std::size_t markers = track.labels.size();
  std::vector<Vec3> points(frames * markers, kMissing);
  for (std::size_t row = 0; row < places.size(); ++row) {
    std::copy_n(track.points.begin() + static_cast<std::ptrdiff_t>(row * markers), markers,
                points.begin() + static_cast<std::ptrdiff_t>(places[row] * markers));
  }
  track.notes.push_back(fmt::format("{} of {} frames have no row, by the times in the table",
                                    frames - track.frames, frames));
  track.points = std::move(points);
  track.frames = frames;
}

void choose_rate(MarkerTrack& track, const Header& header, const std::optional<double>& seen) {
  const bool stated = header.rate > 1e-3 && header.rate < 1e6;
  if (!stated && !seen) fail("{}: expected a DataRate above 0, found none", track.file);
  track.fps = stated ? header.rate : *seen;
  if (!seen || !stated || std::abs(*seen / header.rate - 1) < 0.01) return;
  track.fps = *seen;
  track.notes.push_back(
      fmt::format("the times in the table are of {:.6g} frames a second, which is taken; the "
                  "header says {:.6g}",
                  *seen, header.rate));
}

}  // namespace

MarkerTrack parse_trc(std::string_view text, const std::string& file) {
  MarkerTrack track;
  track.file = file;
  Table table(text, track.file);
  if (!table.next_filled() || !lower(table.cell(0)).starts_with("pathfiletype")) {
    table.bad("'PathFileType', found '{}'", printable(table.cell(0)));
  }
  const Header header = parse_header(table);
  track.labels = parse_labels(table);
  track.metres_per_unit = named_unit(header.unit);
  if (!track.metres_per_unit && !header.unit.empty()) {
    track.notes.push_back(fmt::format("the unit '{}' is unknown", printable(header.unit)));
  }
  if (header.markers != static_cast<double>(track.labels.size())) {
    track.notes.push_back(fmt::format("{} markers have names; the header says {}",
                                      track.labels.size(), header.markers));
  }
  std::vector<double> times;
  while (table.next_filled()) {
    const auto& cells = table.cells();
    if (track.frames == 0 && lower(table.cell(2)).starts_with("x")) continue;  // X1 Y1 Z1 ...
    if (track.frames == 0 && lower(table.cell(0)).starts_with("x")) continue;
    const std::size_t width = 2 + 3 * track.labels.size();
    for (std::size_t i = width; i < cells.size(); ++i) {
      if (!cells[i].empty()) {
        table.bad("{} columns for {} markers, found '{}' in column {}", width, track.labels.size(),
                  printable(cells[i]), i + 1);
      }
    }
    // Memory is not for what a few bytes claim: a cell takes one, but at the end of a line.
    if (track.points.size() + track.labels.size() > text.size()) {
      table.bad("{} columns, found {}", width, cells.size());
    }
    const double time = table.number(table.cell(1), "Time");
    if (std::isfinite(time)) times.push_back(time);
    for (std::size_t p = 0; p < track.labels.size(); ++p) {
      Vec3 point;
      for (std::size_t c = 0; c < 3; ++c) {
        point[static_cast<int>(c)] = table.number(table.cell(2 + 3 * p + c), track.labels[p]);
      }
      track.points.push_back(point.allFinite() ? point : kMissing);
    }
    ++track.frames;
  }
  if (track.frames == 0) fail("{}: expected frames after the header, found none", file);
  if (header.frames != static_cast<double>(track.frames)) {
    track.notes.push_back(
        fmt::format("{} frames are there; the header says {}", track.frames, header.frames));
  }
  if (times.size() != track.frames) times.clear();
  const std::optional<Times> seen = times_of(times, file);
  choose_rate(track, header, seen ? std::optional(seen->rate) : std::nullopt);
  if (seen) insert_missing(track, seen->places);
  return track;
}

std::string format_trc(const PoseClip& clip, const ExportOptions& options,
                       const std::string& name) {
  const int frames = clip.poses->frames();
  std::string text = fmt::format(
      "PathFileType\t4\t(X/Y/Z)\t{}\n"
      "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
      "OrigNumFrames\n{:.10g}\t{:.10g}\t{}\t{}\t{}\t{:.10g}\t1\t{}\nFrame#\tTime",
      name, clip.fps, clip.fps, frames, kJoints, data::name(options.unit), clip.fps, frames);
  for (const std::string_view joint : kJointNames) text += fmt::format("\t{}\t\t", joint);
  text += "\n\t";
  for (int j = 1; j <= kJoints; ++j) text += fmt::format("\tX{0}\tY{0}\tZ{0}", j);
  text += "\n\n";
  const int digits = options.unit == Unit::m ? 7 : options.unit == Unit::cm ? 5 : 4;
  for (int f = 0; f < frames; ++f) {
    text += fmt::format("{}\t{:.6f}", f + 1, f / clip.fps);
    for (int j = 0; j < kJoints; ++j) {
      for (const double x : exported(clip, f, j, options))
        text += fmt::format("\t{:.{}f}", x, digits);
    }
    text += '\n';
  }
  return text;
}

// ---- The format ----

namespace {

std::vector<Motion> read(const std::filesystem::path& file, const MotionOptions& options) {
  return marker_motions(parse_trc(read_text(file), file.string()), options);
}

void parse(std::string_view bytes) {
  marker_motions(parse_trc(bytes, "file.trc"), {});
}

bool begins(std::string_view start) {
  return lower(start.substr(0, 12)) == "pathfiletype";
}

void write(std::span<const PoseClip> clips, const ExportOptions& options, const Sink& sink) {
  for (const PoseClip& clip : clips) {
    std::string name = clip.name;
    std::ranges::replace_if(
        name, [](char c) { return c == '/' || c == '\t' || c == '\n' || c == '\r'; }, '_');
    sink(format_trc(clip, options, name + ".trc"));
  }
}

}  // namespace

const FormatRule trc_format{
    .name = "trc",
    .title = "markers in TRC",
    .endings = {".trc"},
    .begins = begins,
    .reader = FormatReader{.help = "From markers or triangulated joints in TRC files (OpenSim, "
                                   "Pose2Sim)",
                           .files = ".trc files, or a folder of them for each subject",
                           .example = "posetape prepare trc pose-3d/ -o data.npz --markers my.map",
                           .hip = true,
                           .map = "--markers",
                           .read = read,
                           .parse = parse},
    .writer = FormatWriter{.help = "markers for OpenSim and Pose2Sim",
                           .all_in_one = false,
                           .pixels = false,
                           .certainty = false,
                           .unit = Unit::m,
                           .up = Axes::y,
                           .fixed = false,
                           .write = write}};

}  // namespace posetape::data

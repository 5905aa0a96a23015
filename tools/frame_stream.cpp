#include "tools/frame_stream.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/error.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kJoints = data::kJoints;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// A frame takes two thousand characters.
constexpr std::size_t kLongestLine = 1 << 20;

struct Frame {
  std::array<float, 2 * kJoints> pose_2d{};
  std::array<float, 3 * kJoints> noisy_3d{};
  std::vector<float> confidence;  // [17], or empty
};

class Input {
 public:
  // The next line, without its end; false at the end of input.
  bool line(std::string& text) {
    text.clear();
    for (;;) {
      const char* begin = buffer_.data() + at_;
      if (const void* found = std::memchr(begin, '\n', end_ - at_)) {
        const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - begin);
        text.append(begin, size);
        at_ += size + 1;
        return true;
      }
      text.append(begin, end_ - at_);
      if (text.size() > kLongestLine) fail("it is longer than {} characters", kLongestLine);
      if (!refill()) return !text.empty();
    }
  }

  // Fills `bytes` and returns how many there were.
  std::size_t bytes(char* to, std::size_t size) {
    std::size_t done = 0;
    while (done < size && (at_ < end_ || refill())) {
      const std::size_t part = std::min(size - done, end_ - at_);
      std::memcpy(to + done, buffer_.data() + at_, part);
      at_ += part;
      done += part;
    }
    return done;
  }

 private:
  bool refill() {
    ssize_t count = 0;
    do {
      count = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) fail("cannot be read ({})", std::strerror(errno));
    at_ = 0;
    end_ = static_cast<std::size_t>(count);
    return count > 0;
  }

  std::vector<char> buffer_ = std::vector<char>(1 << 16);
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

// What stands in the place of something else, in a few characters.
std::string found_text(const Json& json) {
  if (json.is_array()) return fmt::format("an array of {}", json.size());
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 24 ? text : fmt::format("{} ...", text.substr(0, 20));
}

// A number, or NaN for null.
float number(const Json& json, const char* key, std::size_t joint) {
  if (json.is_null()) return kNan;
  const float value = json.is_number() ? json.get<float>() : kNan;
  if (std::isfinite(value)) return value;
  fail("\"{}\", joint {}: expected a number or null, found {}", key, joint, found_text(json));
}

void read_joints(const Json& frame, const char* key, std::size_t channels, std::span<float> to) {
  const char* joint_text = channels == 2 ? "[x, y]" : "[x, y, z]";
  const auto found = frame.find(key);
  if (found == frame.end()) {
    fail("no \"{}\"; expected {} joints {}, null where one is missing", key, kJoints, joint_text);
  }
  if (!found->is_array() || found->size() != kJoints) {
    fail("\"{}\": expected {} joints {}, found {}", key, kJoints, joint_text, found_text(*found));
  }
  for (std::size_t j = 0; j < kJoints; ++j) {
    const Json& joint = (*found)[j];
    if (!joint.is_null() && (!joint.is_array() || joint.size() != channels)) {
      fail("\"{}\", joint {}: expected {} or null, found {}", key, j, joint_text,
           found_text(joint));
    }
    for (std::size_t c = 0; c < channels; ++c) {
      to[channels * j + c] = joint.is_null() ? kNan : number(joint[c], key, j);
    }
  }
}

void read_json(const std::string& text, Frame& frame) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    fail("expected a JSON object {{\"pose_2d\": [[x, y], ...], \"noisy_3d\": [[x, y, z], ...]}}{}",
         text.find("NaN") == std::string::npos ? "" : "; NaN is no JSON, write null");
  }
  read_joints(json, "pose_2d", 2, frame.pose_2d);
  read_joints(json, "noisy_3d", 3, frame.noisy_3d);
  frame.confidence.clear();
  const auto confidence = json.find("confidence");
  if (confidence == json.end() || confidence->is_null()) return;
  if (!confidence->is_array() || confidence->size() != kJoints) {
    fail("\"confidence\": expected {} numbers from 0 to 1, found {}", kJoints,
         found_text(*confidence));
  }
  for (std::size_t j = 0; j < kJoints; ++j) {
    const Json& value = (*confidence)[j];
    frame.confidence.push_back(value.is_null() ? 0 : number(value, "confidence", j));
  }
}

void check_confidence(std::span<const float> confidence) {
  for (std::size_t j = 0; j < confidence.size(); ++j) {
    if (confidence[j] >= 0 && confidence[j] <= 1) continue;
    fail("confidence {} of joint {}; expected numbers from 0 to 1", confidence[j], j);
  }
}

// The next frame; false at the end of input. `place` becomes where it stands, for messages.
bool read(Input& input, FrameInput format, std::int64_t& line, std::string& place, Frame& frame) {
  if (format == FrameInput::json) {
    std::string text;
    do {
      place = fmt::format("line {}", ++line);
      if (!input.line(text)) return false;
    } while (text.find_first_not_of(" \t\r") == std::string::npos);
    read_json(text, frame);
    check_confidence(frame.confidence);
    return true;
  }
  place = fmt::format("frame {}", line++);
  const bool confidence = format == FrameInput::raw_confidence;
  std::array<float, 6 * kJoints> values{};
  const std::size_t size = (confidence ? 6 : 5) * kJoints * sizeof(float);
  const std::size_t count = input.bytes(reinterpret_cast<char*>(values.data()), size);
  if (count == 0) return false;
  if (count < size) fail("it ends after {} of {} bytes", count, size);
  const std::span<const float> all(values);
  std::ranges::copy(all.first(2 * kJoints), frame.pose_2d.begin());
  std::ranges::copy(all.subspan(2 * kJoints, 3 * kJoints), frame.noisy_3d.begin());
  const auto rest = all.subspan(5 * kJoints, confidence ? kJoints : 0);
  frame.confidence.assign(rest.begin(), rest.end());
  check_confidence(frame.confidence);
  return true;
}

// [[x, y, z], ...], null for a joint without.
std::string json_joints(const diffusion::PoseStream::Pose& pose) {
  std::string text = "[";
  for (std::size_t j = 0; j < kJoints; ++j) {
    const float* p = pose.data() + 3 * j;
    text += j == 0 ? "" : ", ";
    text += std::isnan(p[0]) ? "null" : fmt::format("[{}, {}, {}]", p[0], p[1], p[2]);
  }
  return text + "]";
}

std::string json_line(std::int64_t frame, const diffusion::PoseStream::Pose& pose,
                      const std::optional<diffusion::PoseStream::Pose>& std) {
  std::string text = fmt::format("{{\"frame\": {}, \"refined_3d\": {}", frame, json_joints(pose));
  if (std) text += fmt::format(", \"refined_std\": {}", json_joints(*std));
  return text + "}\n";
}

// Returns false where nobody reads any longer.
bool write(const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(STDOUT_FILENO, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EPIPE) return false;
    if (count < 0) fail("standard output: cannot be written ({})", std::strerror(errno));
    data += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

bool write_ready(diffusion::ResampledStream& stream, FrameOutput format, std::int64_t& written) {
  while (const auto pose = stream.pull()) {
    const std::string text =
        format == FrameOutput::json
            ? json_line(written, *pose, stream.std())
            : std::string(reinterpret_cast<const char*>(pose->data()), sizeof *pose);
    if (!write(text.data(), text.size())) return false;
    ++written;
  }
  return true;
}

}  // namespace

void StreamOptions::add_to(const Command& command) {
  command.add_flag("--stream", stream,
                   "Read frames from standard input as they come, and write each refined frame to "
                   "standard output --delay frames later (data/README.md)");
  command
      .add_option("--image-size", image_size,
                  "With --stream: width and height in pixels of the image that pose_2d is of")
      .list()
      .range(1, 1000000);
  command
      .add_option("--fps", fps,
                  "With --stream: frames a second (default: taken for what the network was trained "
                  "at)")
      .range(0.1, 10000.0);
  add_choice(command, "--input-format", input, "With --stream: frames on standard input");
  add_choice(command, "--output-format", output, "With --stream: results on standard output");
}

StreamFigures run(diffusion::ResampledStream& stream, const StreamOptions& options) {
  static_assert(std::endian::native == std::endian::little);
  using Clock = std::chrono::steady_clock;
  std::signal(SIGPIPE, SIG_IGN);
  StreamFigures figures;
  Input input;
  Frame frame;
  std::string place;
  std::int64_t line = 0;
  for (;;) {
    try {
      if (!read(input, options.input, line, place, frame)) break;
    } catch (const Error& error) {
      fail("standard input, {}: {}", place, error.what());
    }
    const auto begin = Clock::now();
    stream.push(frame.pose_2d, frame.noisy_3d, frame.confidence);
    figures.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    if (!write_ready(stream, options.output, figures.frames)) return figures;
  }
  stream.finish();
  write_ready(stream, options.output, figures.frames);
  return figures;
}

}  // namespace posetape::tools

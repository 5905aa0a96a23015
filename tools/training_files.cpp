#include "tools/training_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "engine/atomic_file.hpp"
#include "engine/crc32.hpp"
#include "engine/error.hpp"
#include "engine/ranks/ranks.hpp"
#include "tools/lines.hpp"
#include "tools/training.hpp"

namespace posetape::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kLog = "trainer.log";
// What files stand for that were written before there were these options.
const Json kBefore{{"--optimiser", "adam"}, {"--momentum", 0.9}, {"--warm-up", 0},
                   {"--cosine", false},     {"--lr-floor", 0.0}, {"--clip-norm", 0.0},
                   {"--micro-batches", 1},  {"--ema", 0.0},      {kShards, 1}};
constexpr Index kColumns = 6;

// A device or a pipe can be written to, and nothing else.
bool is_special(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return !error && fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

// Two names of a file have one lock.
std::string resolved(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  return error || is_special(path) ? path : target.string();
}

// An option as one would give it.
std::string as_given(const std::string& option, const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? option : "--no-" + option.substr(2);
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (value.is_array())
    text = fmt::format("{}", fmt::join(value.get<std::vector<std::string>>(), ","));
  return fmt::format("{} {}", option, text.empty() ? "(none)" : text);
}

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

std::uint32_t fingerprint(const data::Dataset& dataset, std::span<const int> sequences,
                          std::span<const data::Field> fields) {
  std::uint32_t sum = 0;
  for (const int i : sequences) {
    const data::Sequence& s = dataset.sequences[static_cast<std::size_t>(i)];
    sum = crc32(fmt::format("{}\n{}\n", s.name, s.frames()), sum);
    const auto add = [&](const data::PoseArray& poses) {
      sum = crc32(std::as_bytes(std::span(poses.values)), sum);
    };
    for (const data::Field field : fields) {
      switch (field) {
        case data::Field::screen_2d_confidence:
          if (s.confidence) sum = crc32(std::as_bytes(std::span(*s.confidence)), sum);
          [[fallthrough]];
        case data::Field::screen_2d:
          sum = crc32(std::as_bytes(std::span(s.image_size)), sum);
          add(s.pose_2d);
          break;
        case data::Field::truth:
          if (s.pose_3d) add(*s.pose_3d);
          break;
        case data::Field::noisy:
          if (s.noisy_3d) add(*s.noisy_3d);
          break;
      }
    }
  }
  return sum;
}

TrainingFiles::TrainingFiles(Paths paths) : paths_(std::move(paths)) {
  if (!ranks().writes()) return;
  locks_.push_back(std::make_unique<FileLock>(resolved(paths_.output),
                                              "wait until it ends, or choose another --output"));
  locks_.push_back(std::make_unique<FileLock>(resolved(paths_.last),
                                              "wait until it ends, or choose another --output"));
  locks_.push_back(std::make_unique<FileLock>(resolved(paths_.log),
                                              "wait until it ends, or choose another --log"));
}

TrainingFiles::~TrainingFiles() {
  if (log_ >= 0) close(log_);
}

const TensorFile* TrainingFiles::resume() {
  std::error_code error;
  if (!fs::exists(paths_.last, error) && !error) {
    fmt::print(stderr, "posetape: {}: there is nothing to resume; starts afresh\n", paths_.last);
    return nullptr;
  }
  last_ = read_safetensors(paths_.last);
  if (!last_.contains("trainer.counters")) {
    fail(
        "{}: has no trainer's state, so that there is nothing to resume from; start afresh "
        "without --resume, or give the --output whose .last file it is",
        paths_.last);
  }
  read_settings();
  return &last_;
}

Json TrainingFiles::started_with(const char* option) const {
  return started_.is_object() ? started_.value(option, Json()) : Json();
}

void TrainingFiles::begin(Settings settings, std::vector<std::string> models) {
  settings_ = std::move(settings);
  models_ = std::move(models);
  if (goes_on()) {
    check_settings();
    read_lines();
  }
  if (!ranks().writes()) return;
  if (!is_special(paths_.log)) restore_log();
  log_ = open(paths_.log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (log_ < 0) fail_to_write(paths_.log, errno);
}

void TrainingFiles::read_settings() {
  const auto found = last_.metadata.find(kResumeSettings);
  if (found == last_.metadata.end()) {
    fmt::print(stderr,
               "posetape: warning: {}: does not say which data and options it was started with (an "
               "older version has written it); look that they are the same\n",
               paths_.last);
    return;
  }
  started_ = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!started_.is_object())
    fail("{}: metadata '{}' is not readable", paths_.last, kResumeSettings);
  for (const auto& [option, value] : kBefore.items()) {
    if (!started_.contains(option)) started_[option] = value;
  }
}

void TrainingFiles::check_settings() const {
  if (!started_.is_object()) return;
  // Which fields of the data train depends on options, so these come first.
  for (const auto& [option, value] : settings_.items()) {
    const auto before = started_.find(option);
    if (option == kData || before == started_.end() || *before == value) continue;
    fail("{}: was started with {}, now {}; resume with {}, or start afresh without --resume",
         paths_.last, as_given(option, *before), as_given(option, value),
         as_given(option, *before));
  }
  const Json data = started_with(kData);
  if (!data.is_null() && settings_.contains(kData) && data != settings_[kData]) {
    fail(
        "{}: was started with other data than {} (checksum {}, now {}); resume with the data it "
        "was started with, or start afresh without --resume",
        paths_.last, paths_.input, data.dump(), settings_[kData].dump());
  }
}

// The lines of the epochs that the .last file knows.
void TrainingFiles::read_lines() {
  if (!last_.contains(kLog)) return read_lines_of_log();
  const Tensor& log = last_.at(kLog);
  if (log.shape().rank() != 2 || log.shape()[1] != kColumns) {
    fail("{}: tensor '{}' is {}, expected [lines, {}]", paths_.last, kLog, log.shape().text(),
         kColumns);
  }
  const std::vector<double> values = log.to_doubles();
  for (std::size_t i = 0; i < values.size(); i += kColumns) {
    const double* v = &values[i];
    if (!(v[0] >= 0 && v[0] < static_cast<double>(models_.size()))) {
      fail("{}: tensor '{}' has a line of model {} of {}", paths_.last, kLog, v[0], models_.size());
    }
    lines_.push_back(
        {static_cast<std::size_t>(v[0]), static_cast<int>(v[1]), v[2], v[3], v[4], v[5] != 0});
  }
}

// The same of a file without them, which an older version has written: those of the log, up to
// where the file is, and of an epoch's lines the last.
void TrainingFiles::read_lines_of_log() {
  const auto model = last_.metadata.find("resume.lifter");
  const std::size_t index = model == last_.metadata.end()
                                ? 0
                                : static_cast<std::size_t>(std::atoi(model->second.c_str()));
  const double epochs = last_.at("trainer.counters").to_doubles().at(1);
  std::map<std::pair<std::size_t, int>, Line> known;
  for (const std::string& text : complete_lines(text_of(paths_.log))) {
    const Line line = line_of(Json::parse(text, nullptr, /*allow_exceptions=*/false));
    if (line.model < index || (line.model == index && line.epoch <= epochs)) {
      known[{line.model, line.epoch}] = line;
    }
  }
  for (const auto& [place, line] : known) lines_.push_back(line);
}

// Makes the log what `lines_` says, in one step, and keeps what the file has more of a line.
void TrainingFiles::restore_log() const {
  const std::string before = text_of(paths_.log);
  std::map<std::pair<std::size_t, int>, std::pair<Line, std::string>> there;
  for (const std::string& text : complete_lines(before)) {
    const Line line = line_of(Json::parse(text, nullptr, /*allow_exceptions=*/false));
    there[{line.model, line.epoch}] = {line, text};
  }
  std::string after;
  for (const Line& line : lines_) {
    const auto found = there.find({line.model, line.epoch});
    const bool same = found != there.end() && found->second.first == line;
    after += (same ? found->second.second : entry_of(line).dump()) + "\n";
  }
  if (after != before) write_file(paths_.log, after);
}

int TrainingFiles::add_to_log(const Json& entry) {
  lines_.push_back(line_of(entry));
  if (!ranks().writes()) return 0;
  const std::string text = entry.dump() + "\n";
  struct stat before {};
  const bool regular = fstat(log_, &before) == 0 && S_ISREG(before.st_mode);
  int code = 0;
  for (std::size_t done = 0; done < text.size() && code == 0;) {
    const ssize_t n = ::write(log_, text.data() + done, text.size() - done);
    if (n > 0) done += static_cast<std::size_t>(n);
    if (n == 0) code = ENOSPC;
    if (n < 0 && errno != EINTR) code = errno;
  }
  // EINVAL: where there is nothing to be made safe.
  if (code == 0 && fsync(log_) != 0 && errno != EINVAL && errno != EROFS) code = errno;
  if (code != 0 && regular && ftruncate(log_, before.st_size) != 0) {
    // Half a line stays, which --resume takes away.
  }
  return code;
}

void TrainingFiles::save_last(TensorFile file) const {
  std::vector<double> values;
  for (const Line& l : lines_) {
    values.insert(values.end(), {static_cast<double>(l.model), static_cast<double>(l.epoch), l.lr,
                                 l.loss, l.validation, l.best ? 1.0 : 0.0});
  }
  file.metadata[kResumeSettings] = settings_.dump();
  file.tensors.emplace_back(
      kLog, Tensor::of<double>({static_cast<Index>(lines_.size()), kColumns}, values));
  write_safetensors(paths_.last, file);
}

// Of a line that is none of this training's: a model that it doesn't have.
TrainingFiles::Line TrainingFiles::line_of(const Json& entry) const {
  Line line;
  line.model = models_.size();
  if (!entry.is_object()) return line;
  const auto number = [&](const char* key) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_number() ? found->get<double>() : std::nan("");
  };
  const auto text = entry.find("model");
  for (std::size_t i = 0; text != entry.end() && i < models_.size(); ++i) {
    if (*text == models_[i]) line.model = i;
  }
  const double epoch = number("epoch");
  line.epoch = epoch > 0 && epoch < 1e9 ? static_cast<int>(epoch) : 0;
  line.lr = number("lr");
  line.loss = number("loss");
  line.validation = number("validation_mm");
  const auto best = entry.find("best");
  line.best = best != entry.end() && *best == true;
  return line;
}

Json TrainingFiles::entry_of(const Line& line) const {
  return {{"model", models_.at(line.model)},
          {"epoch", line.epoch},
          {"lr", line.lr},
          {"loss", line.loss},
          {"validation_mm", line.validation},
          {"best", line.best}};
}

}  // namespace posetape::tools

// What a training has on disk, and what it goes on from: the checkpoint of its best epoch, the
// .last file, the log.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/batches.hpp"
#include "engine/safetensors.hpp"
#include "tools/file_lock.hpp"

namespace posetape::tools {

// Checksum of what a training reads of these sequences: their names and frames, and the fields it
// uses, for the 2D poses with the image size.
std::uint32_t fingerprint(const data::Dataset& dataset, std::span<const int> sequences,
                          std::span<const data::Field> fields);

// Options of a training that change the result of a step or the choice of the best epoch, by their
// names ("--lr"), and kData, the fingerprint. true and false stand for "--flip" and "--no-flip".
using Settings = nlohmann::ordered_json;
inline constexpr const char* kResumeSettings = "resume.settings";  // in the .last file's metadata
inline constexpr const char* kData = "data";
inline constexpr const char* kShards = "--shards";  // 1 where a file doesn't say

// Of several ranks (engine/ranks/ranks.hpp) the first has them; the others only read.
class TrainingFiles {
 public:
  struct Paths {
    std::string input;   // the dataset, not written
    std::string output;  // best epoch
    std::string last;    // last epoch, with the trainer's state
    std::string log;
  };

  // To be made before anything is read or computed, of files that can be written and are apart
  // (tools/files.hpp sees to it). Throws Error where another process trains into one of them.
  explicit TrainingFiles(Paths paths);
  ~TrainingFiles();
  TrainingFiles(const TrainingFiles&) = delete;
  TrainingFiles& operator=(const TrainingFiles&) = delete;

  // Reads the .last file, from which the caller goes on; null, and said so, where there is none.
  const TensorFile* resume();
  // What a training that goes on was started with, null where nothing says it.
  nlohmann::ordered_json started_with(const char* option) const;
  // Throws Error with the first difference where the .last file that was read was started with
  // other settings. `models` names the networks that are trained one after the other, as the log
  // does. Leaves the log with the lines of the epochs that the .last file knows: a line too many,
  // or half of one, is what a killed process left, and one that is missing is written again, but
  // for its times.
  void begin(Settings settings, std::vector<std::string> models);

  // Adds an epoch's line to the log. Returns 0, or errno where the log could not be written: then
  // no part of the line is in it.
  [[nodiscard]] int add_to_log(const nlohmann::ordered_json& entry);

  // Writes the .last file: `file` with the settings, and with the lines of the log as "trainer.log"
  // [lines, 6]: the model's number, epoch, lr, loss, validation_mm, best.
  void save_last(TensorFile file) const;

  const Paths& paths() const { return paths_; }

 private:
  // A line of the log, but for its times.
  struct Line {
    std::size_t model = 0;
    int epoch = 0;  // counts from 1
    double lr = 0;
    double loss = 0;
    double validation = 0;
    bool best = false;
    bool operator==(const Line&) const = default;
  };

  bool goes_on() const { return !last_.tensors.empty(); }
  void read_settings();
  void check_settings() const;
  void read_lines();
  void read_lines_of_log();
  void restore_log() const;
  Line line_of(const nlohmann::ordered_json& entry) const;
  nlohmann::ordered_json entry_of(const Line& line) const;

  Paths paths_;
  std::vector<std::unique_ptr<FileLock>> locks_;
  Settings settings_;
  Settings started_;  // those of the .last file; null where it doesn't say
  std::vector<std::string> models_;
  TensorFile last_;  // what resume() returned
  std::vector<Line> lines_;
  int log_ = -1;
};

}  // namespace posetape::tools

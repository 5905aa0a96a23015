#include "data/motion_files.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "data/file_kind.hpp"
#include "data/selection.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

namespace fs = std::filesystem;

struct Trial {
  std::string subject;
  fs::path file;
};

std::vector<fs::path> sorted_entries(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  if (error) fail("{}: cannot list the directory: {}", directory.string(), error.message());
  std::ranges::sort(entries);
  return entries;
}

std::vector<fs::path> files_in(const fs::path& directory, const FormatRule& format) {
  std::vector<fs::path> found = sorted_entries(directory);
  std::erase_if(found, [&](const fs::path& file) {
    return !has_ending(file, format.endings) || fs::is_directory(file);
  });
  return found;
}

// The last name of a path, whatever it ends in.
std::string last_name(const fs::path& path) {
  return fs::canonical(path).filename().string();
}

// All files, by subject.
std::vector<Trial> trials_of(const FormatRule& format, const fs::path& path) {
  if (fs::is_regular_file(path)) {
    expect_format(path.string(), format);
    return {{last_name(fs::absolute(path).parent_path()), path}};
  }
  std::vector<Trial> trials;
  for (const fs::path& entry : sorted_entries(path)) {
    if (!fs::is_directory(entry)) continue;
    for (const fs::path& file : files_in(entry, format)) {
      trials.push_back({entry.filename().string(), file});
    }
    for (const fs::path& deeper : sorted_entries(entry)) {
      if (!fs::is_directory(deeper) || files_in(deeper, format).empty()) continue;
      fail(
          "{}: lies in a subject's folder, where files are not looked for; they are read from {} "
          "and from the folders in it",
          deeper.string(), path.string());
    }
  }
  for (const fs::path& file : files_in(path, format)) trials.push_back({last_name(path), file});
  if (trials.empty()) {
    fail("{}: expected {}, found none", path.string(), format.reader->files);
  }
  return trials;
}

std::vector<std::string> subjects_of(const std::vector<Trial>& trials) {
  std::vector<std::string> subjects;
  for (const Trial& trial : trials) {
    if (!contains(subjects, trial.subject)) subjects.push_back(trial.subject);
  }
  return subjects;
}

// A note without its numbers.
std::string kind_of(std::string note) {
  std::erase_if(note, [](unsigned char c) { return std::isdigit(c) != 0 || c == '.' || c == '-'; });
  return note;
}

// Each kind of note once, with its file and the number of others.
void collect(const std::vector<Trial>& trials, const std::vector<Notes>& by_trial, Notes& notes) {
  std::vector<std::pair<std::string, std::vector<const Trial*>>> found;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    for (const std::string& note : by_trial[i]) {
      auto at =
          std::ranges::find(found, kind_of(note), [](const auto& f) { return kind_of(f.first); });
      if (at == found.end()) at = found.insert(found.end(), {note, {}});
      at->second.push_back(&trials[i]);
    }
  }
  for (const auto& [note, files] : found) {
    const std::string more = files.size() > 1 ? fmt::format(" and {} more", files.size() - 1) : "";
    notes.push_back(fmt::format("{}{}: {}", files[0]->file.string(), more, note));
  }
}

}  // namespace

Dataset prepare_motion(const FormatRule& format, const fs::path& path,
                       const PrepareOptions& options, const MotionOptions& motion, Notes& notes) {
  const FormatReader& reader = *format.reader;
  std::vector<Trial> trials = trials_of(format, path);
  const auto subjects = select(subjects_of(trials), options.subjects, "subject");
  std::erase_if(trials, [&](const Trial& t) { return !contains(subjects, t.subject); });
  const auto tests = select_test_subjects(subjects, options.test_subjects, reader.test_subjects);

  std::vector<Notes> by_trial(trials.size());
  std::vector<std::optional<World>> worlds(trials.size());
  const auto read = [&](int i) {
    const Trial& trial = trials[static_cast<std::size_t>(i)];
    std::vector<Motion> found = reader.read(trial.file, motion);
    for (Motion& part : found) part.subject = trial.subject;
    by_trial[static_cast<std::size_t>(i)] = std::move(found[0].notes);
    worlds[static_cast<std::size_t>(i)] = found[0].world;
    return found;
  };
  Dataset dataset =
      film_motions(format.name, static_cast<int>(trials.size()), read, options, subjects, tests);
  collect(trials, by_trial, notes);
  auto meta = nlohmann::ordered_json::parse(dataset.metadata);
  if (reader.hip) meta["hip"] = name(motion.hip);
  if (reader.fps > 0) meta["source_fps"] = reader.fps;
  // Where all files were read alike; else the notes say how.
  if (worlds[0] && std::ranges::all_of(worlds, [&](const auto& w) { return w == worlds[0]; })) {
    meta["metres_per_unit"] = worlds[0]->metres_per_unit;
    meta["up"] = name(worlds[0]->up);
  }
  if (!motion.joints.file.empty()) meta["joints_map"] = motion.joints.file;
  if (!notes.empty()) meta["notes"] = notes;
  if (reader.acknowledgement != nullptr) meta["acknowledgement"] = reader.acknowledgement;
  dataset.metadata = meta.dump();
  return dataset;
}

}  // namespace posetape::data

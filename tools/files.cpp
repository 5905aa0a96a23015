#include "tools/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "engine/atomic_file.hpp"
#include "engine/error.hpp"

namespace posetape::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStandard = "-";

// ---- What was declared ----

struct Declared {
  Option option;
  std::function<std::vector<std::string*>()> paths;  // those that were given
  bool output = false;
  std::vector<std::string> endings = {};  // of an input folder
  bool or_file = false;                   // which may be a file
  OutputRules rules = {};
};

// A path that stands for something that is no file.
struct Stream {
  std::string path;  // what takes its place
  std::string name;  // what the user knows it by
  int target = -1;   // output: where it goes; -1 for an input
};

// One process has one command line.
struct Files {
  std::vector<Declared> declared;
  std::vector<Stream> streams;
};

Files& files() {
  static Files all;
  return all;
}

Option declare(Option option, Declared declared) {
  declared.option = option;
  files().declared.push_back(std::move(declared));
  return option;
}

std::string name_of(const Declared& d) {
  return d.option.name();
}

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "posetape: {}\n", fmt::format(format, std::forward<Args>(args)...));
  throw Exit{2};
}

// ---- Which file a path is ----

struct Place {
  std::string path;   // as given
  std::string owner;  // the option
  std::optional<struct stat> status;
};

std::optional<struct stat> status_of(const std::string& path, int standard) {
  struct stat status {};
  const int failed = path == kStandard ? fstat(standard, &status) : stat(path.c_str(), &status);
  return failed == 0 ? std::optional(status) : std::nullopt;
}

bool same_node(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Whether two paths are one file, or would be.
bool same(const Place& a, const Place& b) {
  if (a.status && b.status) {
    // Whoever reads from a terminal and writes to it loses nothing.
    return same_node(*a.status, *b.status) && !S_ISCHR(a.status->st_mode);
  }
  if (a.status || b.status) return false;
  std::error_code none;
  return fs::weakly_canonical(fs::absolute(a.path, none), none) ==
         fs::weakly_canonical(fs::absolute(b.path, none), none);
}

// Whether a path is an existing file with one of these endings somewhere in a folder.
bool is_in(const std::string& path, const std::string& folder,
           std::span<const std::string> endings) {
  std::error_code none;
  const fs::path file = fs::canonical(path, none);
  const fs::path root = fs::canonical(folder, none);
  if (file.empty() || root.empty()) return false;
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto [at, rest] = std::ranges::mismatch(root, file);
  return at == root.end() && std::ranges::find(endings, ending) != endings.end();
}

std::vector<Place> places(bool output) {
  std::vector<Place> found;
  for (const Declared& d : files().declared) {
    if (d.output != output) continue;
    for (const std::string* path : d.paths()) {
      found.push_back({*path, name_of(d), status_of(*path, output ? STDOUT_FILENO : STDIN_FILENO)});
      if (!d.rules.beside) continue;
      for (const std::string& other : d.rules.beside()) {
        found.push_back({other, "beside " + name_of(d), status_of(other, -1)});
      }
    }
  }
  return found;
}

void refuse_input(const Place& output) {
  for (const Place& input : places(false)) {
    if (!same(output, input)) continue;
    refuse("{} {}: is the file that is read ({} {}), which would be lost; name another file",
           output.owner, output.path, input.owner, input.path);
  }
  for (const Declared& d : files().declared) {
    for (const std::string* folder : d.paths()) {
      if (d.endings.empty() || !is_in(output.path, *folder, d.endings)) continue;
      refuse("{} {}: is one of the files that are read ({} {}), which would be lost; name another",
             output.owner, output.path, name_of(d), *folder);
    }
  }
}

void check_places() {
  const std::vector<Place> outputs = places(true);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    refuse_input(outputs[i]);
    for (std::size_t k = 0; k < i; ++k) {
      if (!same(outputs[i], outputs[k])) continue;
      refuse("{} {}: is the file that {} writes, too; give each a file of its own",
             outputs[i].owner, outputs[i].path, outputs[k].owner);
    }
  }
  bool read = false;
  for (const Place& input : places(false)) {
    if (input.path != kStandard) continue;
    if (std::exchange(read, true)) refuse("-: standard input can be one file only");
  }
}

// ---- Streams ----

bool is_pipe(const struct stat& status) {
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISCHR(status.st_mode);
}

[[noreturn]] void fail_on(const std::string& name, const char* what) {
  fail("{}: cannot be {} ({})", name, what, std::generic_category().message(errno));
}

// Writes all that comes from one descriptor to another.
void copy(int from, int to, const std::string& from_name, const std::string& to_name) {
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_on(from_name, "read");
    if (n == 0) return;
    for (ssize_t done = 0; done < n;) {
      const ssize_t written = ::write(to, buffer.data() + done, static_cast<std::size_t>(n - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_on(to_name, "written");
      done += written;
    }
  }
}

// All of a stream in memory, under a path by which it can be opened as often as one likes.
void take_input(std::string& path) {
  const bool standard = path == kStandard;
  const std::string name = standard ? "standard input" : path;
  const int from = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) fail_on(name, "read");
  // Of a closed descriptor the next file that is opened would take the number.
  if (fcntl(from, F_GETFD) < 0) fail_on(name, "read");
  if (isatty(from) != 0) refuse("{}: is a terminal; pipe a file into it", name);
  const int memory = memfd_create("posetape", MFD_CLOEXEC);
  if (memory < 0) fail_on(name, "read");
  copy(from, memory, name, "memory");
  if (!standard) ::close(from);
  path = fmt::format("/proc/self/fd/{}", memory);
  files().streams.push_back({path, name});
}

// Where an output waits until it is complete: made when it is needed, gone when the program ends.
std::array<char, 4096> waiting_folder{};
std::array<char, 4096> waiting_file{};

void give_output(std::string& path, const Declared& d, bool standard) {
  if (!d.rules.stream) {
    refuse("{} {}: must be a file{}", name_of(d), path,
           path == kStandard ? "; write ./- for one of that name" : ", which this is not");
  }
  const auto& streams = files().streams;
  if (std::ranges::any_of(streams, [](const Stream& s) { return s.target >= 0; })) {
    refuse("{} {}: another output is a stream, too, and one of them can be; name a file",
           name_of(d), path);
  }
  Stream stream{"", standard ? "standard output" : path};
  if (standard) {
    // What the command prints for people goes where its data is not.
    std::fflush(stdout);
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) fail_on(stream.name, "written");
    stream.target = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (stream.target < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
      fail_on(stream.name, "written");
  } else {
    stream.target = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (stream.target < 0) fail_on(path, "written");
  }
  std::string folder = (fs::temp_directory_path() / "posetape-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) fail_on(folder, "written");
  stream.path = folder + "/output";
  if (stream.path.size() >= waiting_file.size()) fail("{}: the name is too long", folder);
  std::ranges::copy(folder, waiting_folder.begin());
  std::ranges::copy(stream.path, waiting_file.begin());
  std::atexit(discard_waiting_output);
  path = stream.path;
  files().streams.push_back(std::move(stream));
}

void open_output(std::string& path, const Declared& d) {
  struct stat output {};
  const auto found = status_of(path, STDOUT_FILENO);
  const bool standard =
      path == kStandard || (found && fstat(STDOUT_FILENO, &output) == 0 &&
                            !S_ISDIR(output.st_mode) && same_node(*found, output));
  if (standard || (found && is_pipe(*found))) return give_output(path, d, standard);
  // Opening it for writing, without a commit, changes nothing.
  if (!d.rules.folder) const AtomicFile probe(path);
  if (d.rules.beside) {
    for (const std::string& other : d.rules.beside()) {
      const auto status = status_of(other, -1);
      if (!status || !is_pipe(*status)) const AtomicFile probe(other);  // a log may be a device
    }
  }
}

}  // namespace

Option add_input(const Command& command, const std::string& name, std::string& path,
                 const std::string& help) {
  Option option = command.add_option(name, path, help);
  return declare(option, {option, [option, &path] {
                            return option.count() > 0 ? std::vector{&path}
                                                      : std::vector<std::string*>{};
                          }});
}

Option add_input(const Command& command, const std::string& name, std::vector<std::string>& paths,
                 const std::string& help) {
  Option option = command.add_option(name, paths, help);
  return declare(option, {option, [option, &paths] {
                            std::vector<std::string*> given;
                            for (std::string& path : paths) given.push_back(&path);
                            return option.count() > 0 ? given : std::vector<std::string*>{};
                          }});
}

Option add_input_folder(const Command& command, const std::string& name, std::string& path,
                        const std::string& help, std::vector<std::string> endings, bool or_file) {
  Option option = add_input(command, name, path, help);
  files().declared.back().or_file = or_file;
  files().declared.back().endings = std::move(endings);
  return option;
}

Option add_output(const Command& command, const std::string& name, std::string& path,
                  const std::string& help, OutputRules rules) {
  Option option = add_input(command, name, path, help);
  files().declared.back().output = true;
  files().declared.back().rules = std::move(rules);
  return option;
}

std::vector<std::string> input_paths() {
  std::vector<std::string> paths;
  for (const Declared& d : files().declared) {
    if (d.output) continue;
    for (const std::string* path : d.paths()) paths.push_back(*path);
  }
  return paths;
}

void open_files() {
  check_places();
  for (const Declared& d : files().declared) {
    for (std::string* path : d.paths()) {
      if (d.output) continue;
      const auto found = status_of(*path, STDIN_FILENO);
      if (!d.endings.empty() && !d.or_file && *path == kStandard) {
        refuse("{} -: must be a folder; write ./- for one of that name", name_of(d));
      }
      if (*path == kStandard || (found && is_pipe(*found))) take_input(*path);
    }
  }
  for (const Declared& d : files().declared) {
    for (std::string* path : d.paths()) {
      if (d.output) open_output(*path, d);
    }
  }
}

void close_files() {
  for (const Stream& stream : files().streams) {
    if (stream.target < 0) continue;
    const int from = ::open(stream.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (from < 0 && errno == ENOENT) continue;  // a command that had nothing to write
    if (from < 0) fail_on(stream.path, "read");
    discard_waiting_output();
    copy(from, stream.target, stream.path, stream.name);
    ::close(from);
    if (::close(stream.target) != 0) fail_on(stream.name, "written");
  }
}

void discard_waiting_output() noexcept {
  unlink(waiting_file.data());
  rmdir(waiting_folder.data());
}

void check_output(const std::string& path) {
  refuse_input({path, "output", status_of(path, -1)});
}

std::string shown(const std::string& path) {
  const auto found = std::ranges::find(files().streams, path, &Stream::path);
  return found == files().streams.end() ? path : found->name;
}

std::string shown_text(std::string text) {
  for (const Stream& stream : files().streams) {
    for (std::size_t at = 0; (at = text.find(stream.path, at)) != std::string::npos;) {
      const std::size_t end = at + stream.path.size();
      // /proc/self/fd/1 is not the beginning of /proc/self/fd/12.
      const bool longer =
          end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0;
      if (!longer) text.replace(at, stream.path.size(), stream.name);
      at += longer ? stream.path.size() : stream.name.size();
    }
  }
  return text;
}

bool is_stream(const std::string& path) {
  return std::ranges::find(files().streams, path, &Stream::path) != files().streams.end();
}

}  // namespace posetape::tools

#include "engine/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#include "engine/ranks/ranks.hpp"

namespace posetape {
namespace {

std::string hint(int code, const std::string& path) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "free some space or write to another disk";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a place where you may write";
    case ENOENT:
    case ENOTDIR: {
      const auto parent = std::filesystem::path(path).parent_path().string();
      return fmt::format("make the directory '{}' first", parent.empty() ? "." : parent);
    }
    case EISDIR:
      return "give the name of a file in it";
    case ENAMETOOLONG:
      return "choose a shorter name";
    default:
      return "check the disk or write to another one";
  }
}

constexpr std::string_view kMark = ".tmp-";

// Unique among the processes of this machine and within this one.
std::string temporary_name(const std::string& target) {
  static std::atomic<unsigned> count{0};
  return fmt::format("{}{}{}-{}", target, kMark, getpid(), count++);
}

// The names of the temporary files that exist, where a signal handler can read them: no memory is
// taken and no lock, and a name is complete while its slot is in use.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> in_use{false};
  std::array<char, PATH_MAX> name{};
};
std::array<Slot, 16> slots;

// With more files than slots at a time, or a longer name, it goes without.
void remember(const std::string& name) {
  if (name.size() >= PATH_MAX) return;
  for (Slot& slot : slots) {
    if (slot.taken.exchange(true)) continue;
    std::memcpy(slot.name.data(), name.c_str(), name.size() + 1);
    slot.in_use = true;
    return;
  }
}

void forget(const std::string& name) {
  for (Slot& slot : slots) {
    if (!slot.in_use || name != slot.name.data()) continue;
    slot.in_use = false;
    slot.taken = false;
    return;
  }
}

// What is left of `target` in names like temporary_name's, and whose: the process, 0 where the name
// is not one of those.
pid_t owner_of(std::string_view name) {
  const std::size_t mark = name.rfind(kMark);
  if (mark == std::string_view::npos || mark == 0) return 0;
  const char* const end = name.data() + name.size();
  pid_t owner = 0;
  unsigned count = 0;
  const auto number = std::from_chars(name.data() + mark + kMark.size(), end, owner);
  if (number.ec != std::errc() || owner <= 0 || number.ptr == end || *number.ptr != '-') return 0;
  const auto rest = std::from_chars(number.ptr + 1, end, count);
  return rest.ec == std::errc() && rest.ptr == end ? owner : 0;
}

// Removes a temporary file unless somebody may still be writing it: another process of this machine
// that is alive, or one that this machine can't see (of another machine, or another container) or
// that has this one's number, which then holds the file's lock.
void remove_if_dead(const std::filesystem::path& path) {
  const pid_t owner = owner_of(path.filename().native());
  if (owner != getpid() && (kill(owner, 0) == 0 || errno != ESRCH)) return;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return;
  if (flock(file, LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
  close(file);
}

// Removes what processes that were killed while they wrote `target` have left. A directory is read
// once, since there may be many files in it and many to write.
void remove_leftovers(const std::string& target) {
  static std::map<std::filesystem::path, std::vector<std::filesystem::path>> seen;
  const std::filesystem::path path(target);
  const auto [entry, first] = seen.try_emplace(path.parent_path());
  if (first) {
    std::error_code error;
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    for (std::filesystem::directory_iterator it(parent, error), end; !error && it != end;
         it.increment(error)) {
      if (owner_of(it->path().filename().native()) != 0) entry->second.push_back(it->path());
    }
  }
  const std::string mine = path.filename().native() + std::string(kMark);
  std::erase_if(entry->second, [&](const std::filesystem::path& left) {
    if (!left.filename().native().starts_with(mine)) return false;
    remove_if_dead(left);
    return true;
  });
}

struct Temporary {
  std::string name;
  int descriptor = -1;  // negative: errno says why
};

// A new file beside `target`, locked as long as it is open.
Temporary make_temporary(const std::string& target) {
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  remove_leftovers(target);
  Temporary made;
  do {
    made.name = temporary_name(target);
    made.descriptor = open(made.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (made.descriptor < 0 && errno == EEXIST);
  if (made.descriptor < 0) return made;
  remember(made.name);
  flock(made.descriptor, LOCK_EX | LOCK_NB);  // some file systems have no locks
  return made;
}

// After a rename, the directory's own entry must reach the disk too. Not every file system can
// sync a directory, and the data is safe by then, so a failure here is not one of the write.
void sync_directory(const std::string& target) {
  const auto parent = std::filesystem::path(target).parent_path();
  const int directory = open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY);
  if (directory < 0) return;
  fsync(directory);
  close(directory);
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(path_) {
  if (!ranks().writes()) return;
  std::error_code none;
  const auto resolved = std::filesystem::canonical(path_, none);
  if (!none) target_ = resolved.string();

  struct stat old {};
  const bool replaces = stat(target_.c_str(), &old) == 0;
  if (replaces && S_ISDIR(old.st_mode)) refuse(EISDIR);
  if (replaces && !S_ISREG(old.st_mode)) {
    // A rename would put a file in the place of the device.
    fail("{}: cannot be written (not a regular file); give the name of a file", path_);
  }

  const Temporary made = make_temporary(target_);
  if (made.descriptor < 0) refuse(errno);
  temporary_ = made.name;
  descriptor_ = made.descriptor;
  // Best effort: some file systems (FAT) know no permissions and refuse this.
  if (replaces) fchmod(descriptor_, old.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (!ranks().writes()) {
    position_ += bytes.size();
    return;
  }
  while (!bytes.empty()) {
    const ssize_t n =
        pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(position_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(errno);
    if (n == 0) refuse(ENOSPC);
    position_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  if (!ranks().writes()) return;
  // EINVAL: a file system without fsync, where there is nothing more to ask for.
  if (fsync(descriptor_) != 0 && errno != EINVAL) refuse(errno);
  // A network file system may report a full disk only here.
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) refuse(errno);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) refuse(errno);
  forget(temporary_);
  temporary_.clear();
  sync_directory(target_);
}

// Removes the temporary file, then throws.
void AtomicFile::refuse(int code) {
  discard();
  fail_to_write(path_, code);
}

void AtomicFile::discard() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  if (temporary_.empty()) return;
  unlink(temporary_.c_str());
  forget(temporary_);
  temporary_.clear();
}

void fail_to_write(const std::string& path, int code) {
  fail("{}: cannot be written ({}); {}", path, std::generic_category().message(code),
       hint(code, path));
}

void remove_temporary_files() noexcept {
  for (const Slot& slot : slots) {
    if (slot.in_use) unlink(slot.name.data());
  }
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace posetape

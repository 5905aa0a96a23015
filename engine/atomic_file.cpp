#include "engine/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/error.hpp"

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

// Unique among the processes of this machine and within this one.
std::string temporary_name(const std::string& target) {
  static std::atomic<unsigned> count{0};
  return fmt::format("{}.tmp-{}-{}", target, getpid(), count++);
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

  const std::string name = temporary_name(target_);
  descriptor_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) refuse(errno);
  temporary_ = name;
  // Best effort: some file systems (FAT) know no permissions and refuse this.
  if (replaces) fchmod(descriptor_, old.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
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
  // EINVAL: a file system without fsync, where there is nothing more to ask for.
  if (fsync(descriptor_) != 0 && errno != EINVAL) refuse(errno);
  // A network file system may report a full disk only here.
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) refuse(errno);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) refuse(errno);
  temporary_.clear();
  sync_directory(target_);
}

// Removes the temporary file, then throws.
void AtomicFile::refuse(int code) {
  discard();
  fail("{}: cannot be written ({}); {}", path_, std::generic_category().message(code),
       hint(code, path_));
}

void AtomicFile::discard() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace posetape

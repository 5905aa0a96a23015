#include "tools/file_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "engine/atomic_file.hpp"
#include "engine/error.hpp"

namespace posetape::tools {
namespace {

// What the holder wrote: its number.
std::string content(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t size = pread(descriptor, text.data(), text.size(), 0);
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// Whether the name still means the open file: the last holder may have removed it in between.
bool is_at(const std::string& name, int descriptor) {
  struct stat there {};
  struct stat open {};
  return stat(name.c_str(), &there) == 0 && fstat(descriptor, &open) == 0 &&
         there.st_dev == open.st_dev && there.st_ino == open.st_ino;
}

}  // namespace

FileLock::FileLock(const std::string& path, const std::string& advice) : name_(path + ".lock") {
  for (;;) {
    descriptor_ = open(name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail_to_write(name_, errno);
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      const std::string holder = content(descriptor_);
      close(descriptor_);
      if (code == EWOULDBLOCK) {
        fail("{}: process {} is writing it; {}", path, holder.empty() ? "?" : holder, advice);
      }
      descriptor_ = -1;
      unlink(name_.c_str());
      fmt::print(stderr,
                 "posetape: warning: {}: cannot be locked ({}); let nothing else write it\n", path,
                 std::generic_category().message(code));
      return;
    }
    if (is_at(name_, descriptor_)) break;
    close(descriptor_);
  }
  const std::string number = std::to_string(getpid());
  // For the message alone: without it, on a full disk, the lock is as good.
  if (ftruncate(descriptor_, 0) != 0 || pwrite(descriptor_, number.data(), number.size(), 0) < 0) {
    errno = 0;
  }
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  unlink(name_.c_str());
  close(descriptor_);
}

}  // namespace posetape::tools

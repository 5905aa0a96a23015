// One process at a time on a file that is written for hours.
#pragma once

#include <string>

namespace posetape::tools {

// A lock on `path`, which need not exist yet, held as long as the object or its process lives. It
// is the system's lock (flock) on a file beside it, `path` + ".lock", with the number of the
// process in it; the file goes with the object, and one that a killed process left locks nothing.
class FileLock {
 public:
  // Throws Error, with the path, the process that holds it and `advice`, where another process or
  // another FileLock does, and where the file beside it can't be written. On a file system without
  // locks it warns and holds nothing.
  FileLock(const std::string& path, const std::string& advice);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::string name_;
  int descriptor_ = -1;
};

}  // namespace posetape::tools

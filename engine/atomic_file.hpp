// Files that are replaced in one step: a reader sees the old file or the new one, never half of
// one, whatever happens to the program, the disk or the machine in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace posetape {

// Writes to a temporary file beside `path` and renames it on commit(). Without a commit, or after
// a failure, the temporary file is removed and the old file is untouched. The temporary files of
// processes that were killed while they wrote the same path are removed too.
//
// A new file gets the usual permissions (0666 less the umask), a replaced one keeps those it had,
// and a symbolic link keeps pointing to the file that is replaced.
//
// Of several ranks (engine/ranks/ranks.hpp) the first writes; on the others nothing happens.
//
// Every function throws Error with the path, the system's reason and a hint: no space left, no
// permission, missing directory, `path` is a directory or a device.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Writes at the current position and moves it on.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  // Moves the position, in bytes from the start.
  void seek(std::uint64_t position) { position_ = position; }
  std::uint64_t position() const { return position_; }

  // Makes the new file safe on disk and puts it in the place of the old one. Call it last.
  void commit();

 private:
  [[noreturn]] void refuse(int code);
  void discard();

  std::string path_;       // as the caller named it, for messages
  std::string target_;     // the same without symbolic links
  std::string temporary_;  // beside target_, so that the rename stays in one file system
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
};

// A whole small file at once.
void write_file(const std::string& path, std::string_view text);

// Throws what AtomicFile throws where the system refuses with this errno.
[[noreturn]] void fail_to_write(const std::string& path, int code);

// Removes the temporary files of this process, for a signal handler that ends it: safe there, and
// nothing can be committed after it.
void remove_temporary_files() noexcept;

}  // namespace posetape

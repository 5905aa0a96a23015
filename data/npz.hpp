// The npz format: a zip archive of npy arrays, as numpy.savez writes it and numpy.load reads it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "data/npy.hpp"
#include "data/zip_reader.hpp"

namespace posetape::data {

// An open npz file. The arrays are read one at a time, when asked for.
//
// Every function throws Error with the file, the array and a hint: missing file, not a zip, cut
// off or damaged, no such array, and all that ZipReader and parse_npy refuse.
class NpzReader {
 public:
  explicit NpzReader(const std::string& path);

  // The arrays in the order of the file, without ".npy".
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const;

  NpyArray read(const std::string& name) const;

  // The bytes of the npy file inside, for a format that parse_npy refuses.
  std::vector<std::byte> read_bytes(const std::string& name) const;

  // File and array, the start of a message about it.
  std::string where(const std::string& name) const;

 private:
  std::string path_;
  ZipReader archive_;
  std::vector<std::string> names_;
};

struct NamedArray {
  std::string name;
  NpyView array;
};

struct NpzOptions {
  // 0 stores, 1 (fast) to 9 (small) deflates. The low bits of poses are noise, which takes long to
  // deflate and hardly gets smaller.
  int deflate_level = 0;
};

// Writes all arrays atomically (engine/atomic_file.hpp). Equal arrays make equal bytes: the dates
// in the archive are fixed. Throws Error also for no arrays, a name that is empty or occurs
// twice, and bytes that do not fill the shape.
void write_npz(const std::string& path, std::span<const NamedArray> arrays,
               const NpzOptions& options = {});

}  // namespace posetape::data

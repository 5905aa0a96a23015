// Zip archives, which npz files and PyTorch's checkpoints are, for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

struct zip;

namespace posetape::data {

// An open archive. Every function throws Error: missing or empty file, no archive, cut off or
// damaged, an entry that claims to be larger than numbers can be deflated to what is there.
class ZipReader {
 public:
  // `kind` is what the file is for messages: "npz file".
  ZipReader(const std::string& path, const std::string& kind);

  // The entries in the order of the file.
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const { return entries_.contains(name); }

  // An entry that is there. `where` starts the messages.
  std::vector<std::byte> read(const std::string& name, const std::string& where) const;

 private:
  struct Close {
    void operator()(zip* archive) const;
  };

  std::uint64_t file_size_ = 0;
  std::unique_ptr<zip, Close> archive_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::uint64_t> entries_;  // name to index in the archive
};

}  // namespace posetape::data

// A directory of its own for a test's files, and what tests do with files and messages.
#pragma once

#include <unistd.h>
#include <zip.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.hpp"

namespace posetape::test {

// Made empty, removed with all it holds at the end of the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "posetape-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code none;
    std::filesystem::remove_all(path_, none);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_;
};

inline std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_all(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A zip archive with these entries, whatever is in them.
inline void write_zip(const std::string& path,
                      const std::vector<std::pair<std::string, std::string>>& entries) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, text] : entries) {
    zip_source_t* source = zip_source_buffer(archive, text.data(), text.size(), 0);
    zip_file_add(archive, name.c_str(), source, 0);
  }
  if (zip_close(archive) != 0) throw std::runtime_error("zip not written: " + path);
}

// The message of the Error that `f` throws; empty if it throws none. A message is one line
// without a full stop at the end.
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string text = error.what();
    if (text.find('\n') != std::string::npos || text.ends_with('.')) return "badly formed: " + text;
    return text;
  }
  return {};
}

// Whether `text` has all parts, in this order.
inline bool has_parts(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
    at += part.size();
  }
  return true;
}

}  // namespace posetape::test

// Fails with the whole message if a part is missing.
#define CHECK_MESSAGE_PARTS(expression, ...)                                          \
  do {                                                                                \
    const std::string message_text = posetape::test::message_of([&] { expression; }); \
    CAPTURE(message_text);                                                            \
    CHECK(posetape::test::has_parts(message_text, {__VA_ARGS__}));                    \
  } while (false)

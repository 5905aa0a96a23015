#include "data/file_kind.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "data/torch_file.hpp"
#include "data/zip_reader.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

FileKind kind_of_archive(const std::string& path) {
  try {
    const ZipReader archive(path, "archive");
    const auto has = [&](std::string_view ending) {
      return std::ranges::any_of(archive.names(),
                                 [&](const std::string& name) { return name.ends_with(ending); });
    };
    return has("data.pkl") ? FileKind::torch : has(".npy") ? FileKind::npz : FileKind::zip;
  } catch (const Error&) {
    return FileKind::unknown;
  }
}

// A length below the format's limit, then a JSON object.
bool is_safetensors(std::string_view start) {
  std::uint64_t length = 0;
  if (start.size() <= sizeof(length)) return false;
  std::memcpy(&length, start.data(), sizeof(length));
  return length >= 2 && length <= 100'000'000 && start[sizeof(length)] == '{';
}

bool is_text(std::string_view start) {
  return std::ranges::none_of(start, [](unsigned char c) {
    return c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f');
  });
}

// What it is, and what to do with it.
struct Words {
  const char* is;
  const char* advice;
};

Words words(FileKind kind) {
  switch (kind) {
    case FileKind::npz:
      return {"an npz file, as datasets are", "check the order of the files"};
    case FileKind::npy:
      return {"a single npy array", "write it with numpy.savez"};
    case FileKind::safetensors:
      return {"a safetensors file, as networks are", "check the order of the files"};
    case FileKind::torch:
      return {"a PyTorch checkpoint", "make a lifter of it with `posetape convert`"};
    case FileKind::zip:
      return {"a zip archive of other files", "name what is in it"};
    case FileKind::json:
      return {"JSON text", "check the name"};
    case FileKind::bvh:
      return {"motion in BVH", "`posetape prepare bvh` makes a dataset of a folder of them"};
    case FileKind::text:
      return {"text", "check the name"};
    case FileKind::folder:
      return {"a folder", "name a file"};
    case FileKind::empty:
    case FileKind::unknown:
      break;
  }
  return {"of another kind", "check the name"};
}

}  // namespace

FileKind file_kind(const std::string& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none)) return FileKind::folder;
  std::ifstream file(path, std::ios::binary);
  if (!file) return FileKind::unknown;
  std::string start(512, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  if (start.empty()) return FileKind::empty;
  if (start.starts_with("PK")) return kind_of_archive(path);
  if (start.starts_with("\x93NUMPY")) return FileKind::npy;
  if (is_torch_file(path)) return FileKind::torch;
  if (is_safetensors(start)) return FileKind::safetensors;
  if (!is_text(start)) return FileKind::unknown;
  std::string_view text = start;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (text.starts_with('{') || text.starts_with('[')) return FileKind::json;
  return text.starts_with("HIERARCHY") ? FileKind::bvh : FileKind::text;
}

void expect_kind(const std::string& path, std::initializer_list<FileKind> expected,
                 const std::string& what) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::unknown || std::ranges::find(expected, kind) != expected.end()) return;
  if (kind == FileKind::empty) fail("{}: the file is empty; write it again", path);
  const auto [is, advice] = words(kind);
  fail("{}: is {}, not {}; {}", path, is, what, advice);
}

}  // namespace posetape::data

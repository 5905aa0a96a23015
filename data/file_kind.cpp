#include "data/file_kind.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

#include "data/motion_format.hpp"
#include "data/torch_file.hpp"
#include "data/zip_reader.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// The first bytes of a file, 512 at most; nothing where it can't be read.
std::optional<std::string> start_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string start(512, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  return start;
}

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
    case FileKind::text:
      return {"text", "check the name"};
    case FileKind::folder:
      return {"a folder", "name a file"};
    case FileKind::motion:
    case FileKind::empty:
    case FileKind::unknown:
      break;
  }
  return {"of another kind", "check the name"};
}

std::string advice_for(const FormatRule& format) {
  if (!format.reader) return "`posetape export` writes such files, and no command reads them";
  return fmt::format("`posetape prepare {}` makes a dataset of a folder of them", format.name);
}

[[noreturn]] void refuse(const std::string& path, FileKind kind, const std::string& what) {
  if (kind == FileKind::motion) {
    const FormatRule& format = *format_of(*start_of(path));
    fail("{}: is {}, not {}; {}", path, format.title, what, advice_for(format));
  }
  const auto [is, advice] = words(kind);
  fail("{}: is {}, not {}; {}", path, is, what, advice);
}

// What is taken for weights, by the bytes at a place.
struct Signature {
  std::string_view bytes;
  std::size_t at;
  std::string_view kind;
};
using namespace std::string_view_literals;
constexpr std::array kSignatures{
    Signature{"\x1f\x8b"sv, 0, "a gzip archive; unpack it first (tar -xzf, or gunzip)"},
    Signature{"BZh"sv, 0, "a bzip2 archive; unpack it first"},
    Signature{"\xfd"
              "7zXZ\0"sv,
              0, "an xz archive; unpack it first"},
    Signature{"\x28\xb5\x2f\xfd"sv, 0, "a zstd archive; unpack it first"},
    Signature{"7z\xbc\xaf\x27\x1c"sv, 0, "a 7z archive; unpack it first"},
    Signature{"Rar!"sv, 0, "a rar archive; unpack it first"},
    Signature{"ustar"sv, 257,
              "a tar archive; unpack it first (if it holds 'storages', 'tensors' and 'pickle', "
              "PyTorch 0.1 wrote it: load it there and save it again)"},
    Signature{"\x89HDF\r\n"sv, 0, "an HDF5 file, as Keras writes; weights of PyTorch are expected"},
    Signature{"\x93NUMPY"sv, 0, "a numpy array; weights of PyTorch are expected"},
    Signature{"version https://git-lfs"sv, 0,
              "a pointer of Git LFS in place of the file; fetch it with 'git lfs pull'"},
    Signature{"<"sv, 0, "a web page in place of the file; download it again"},
    Signature{"{"sv, 0,
              "JSON; if it is an index of shards, load them in Python and save the whole with "
              "torch.save(model.state_dict(), ...)"}};

std::string folder_kind(const std::filesystem::path& path) {
  std::error_code code;
  const auto has = [&](const char* name) { return std::filesystem::exists(path / name, code); };
  if (has(".metadata")) {
    return "a distributed checkpoint; make one file of it first: python -m "
           "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE";
  }
  if (has("data.pkl")) {
    return "an unpacked checkpoint of PyTorch; pack the folder again: zip -0 -r FILE FOLDER";
  }
  return "a folder; give the file of weights in it";
}

}  // namespace

FileKind file_kind(const std::string& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none)) return FileKind::folder;
  const std::optional<std::string> known = start_of(path);
  if (!known) return FileKind::unknown;
  const std::string& start = *known;
  if (start.empty()) return FileKind::empty;
  if (start.starts_with("PK")) return kind_of_archive(path);
  if (start.starts_with("\x93NUMPY")) return FileKind::npy;
  if (is_torch_file(path)) return FileKind::torch;
  if (is_safetensors(start)) return FileKind::safetensors;
  if (format_of(start) != nullptr) return FileKind::motion;
  if (!is_text(start)) return FileKind::unknown;
  std::string_view text = start;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (text.starts_with('{') || text.starts_with('[')) return FileKind::json;
  return FileKind::text;
}

void expect_kind(const std::string& path, std::initializer_list<FileKind> expected,
                 const std::string& what) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::unknown || std::ranges::find(expected, kind) != expected.end()) return;
  if (kind == FileKind::empty) fail("{}: the file is empty; write it again", path);
  refuse(path, kind, what);
}

void expect_format(const std::string& path, const FormatRule& format) {
  const FileKind kind = file_kind(path);
  const bool open = kind == FileKind::unknown || kind == FileKind::text || kind == FileKind::empty;
  if (open || (kind == FileKind::motion && format_of(*start_of(path)) == &format)) return;
  refuse(path, kind, format.title);
}

std::string foreign_kind(const std::string& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return folder_kind(path);
  const std::optional<std::string> start = start_of(path);
  if (!start) return "";
  const std::string_view text = *start;
  if (text.empty()) return "an empty file; copy or write it again";
  // The header of safetensors: the length in its first bytes may look like anything.
  if (text.size() > 8 && text[8] == '{') return "";
  for (const Signature& s : kSignatures) {
    if (text.size() >= s.at && text.substr(s.at).starts_with(s.bytes)) return std::string(s.kind);
  }
  // A pickle of protocol 2 to 5 that is none of torch.save.
  if (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) {
    return "a plain pickle; write it with torch.save(model.state_dict(), ...)";
  }
  // A protocol buffer: the version, then the name of the program that wrote it.
  if (path.ends_with(".onnx") || (text.size() > 4 && text[0] == '\x08' && text[2] == '\x12')) {
    return "an ONNX model; save the weights in Python: torch.save(model.state_dict(), ...)";
  }
  return "";
}

}  // namespace posetape::data

#include "data/foreign_file.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace posetape::data {
namespace {

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

std::string foreign_kind(const std::string& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return folder_kind(path);
  std::string start(512, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  const std::string_view text = start;
  if (!file.is_open()) return "";
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
